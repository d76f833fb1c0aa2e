/*
 * step.c: time of one training step (forward, loss, backward, Adam) on one core, beside
 * the machine's matrix product in the same minute.
 *
 *   step                                    the shapes of the table
 *   step lstm 400x20x9-250                  one: cell, batch x steps x features - hidden
 *   step gru 256x20x64-128-128 5            two layers, 5 seconds of measuring
 *   step gru-decoder 256x20x64-128          an encoder over the first half of the steps
 * and a decoder over the rest
 *
 * GFLOP/s counts the products alone: 6 operations a weight and row.  bench/step_torch.py
 * does the same shapes in PyTorch.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "model/model.h"
#include "nn/blas.h"
#include "nn/gradient.h"
#include "nn/kernel.h"
#include "nn/loss.h"

typedef struct Shape
{
	char cell[16]; /* "gru", "lstm", or with "-decoder" */
	int batch;
	int steps;
	int features;
	int layers;
	int hidden[SL_MAX_LAYERS];
} Shape;

typedef struct Run
{
	SlNet net;
	SlPack pack;
	int *size, *offset;
	float *x, *target, *weight, *value, *moments;
	SlGradient grad;
	char *memory; /* the gradient's */
	uint64_t *key;
	uint8_t *future; /* NULL: no row is */
	SlArena arena;
	int64_t t;
} Run;

#define MOST_TIMES 100000

/* Median wall-clock time of work, repeated for about that many seconds; the processor's
 * time too, which others on the machine disturb less. */
static double
measure(void (*work)(void *), void *arg, double seconds, double *processor)
{
	static double wall[MOST_TIMES], cpu[MOST_TIMES];
	int n = 0;
	double start = read_clock(CLOCK_MONOTONIC);

	work(arg);
	work(arg);
	do
	{
		double before = read_clock(CLOCK_MONOTONIC);
		double cpu_before = read_clock(CLOCK_PROCESS_CPUTIME_ID);

		work(arg);
		cpu[n] = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
		wall[n++] = read_clock(CLOCK_MONOTONIC) - before;
	} while (n < MOST_TIMES && (read_clock(CLOCK_MONOTONIC) - start < seconds || n < 5));
	qsort(wall, n, sizeof(double), by_size);
	qsort(cpu, n, sizeof(double), by_size);
	*processor = cpu[n / 2];
	return wall[n / 2];
}

/* ---- the machine's limit ---- */

#define SIDE 1024

static void
gemm_work(void *arg)
{
	float *a = arg;

	sl_gemm(false, false, SIDE, SIDE, SIDE, 1, a, SIDE, a + SIDE * SIDE, SIDE, 0,
			a + 2 * SIDE * SIDE, SIDE);
}

static double
gemm_rate(double seconds)
{
	float *a = malloc(3 * SIDE * SIDE * sizeof(float));

	for (int i = 0; i < 3 * SIDE * SIDE; i++)
		a[i] = (float) (i % 17) - 8;

	double cpu;

	measure(gemm_work, a, seconds, &cpu);
	free(a);
	return 2.0 * SIDE * SIDE * SIDE / cpu;
}

/* ---- a step ---- */

static SlTensor *
forward(Run *run, SlTape *tape)
{
	SlBatch batch = {.pack = &run->pack,
					 .x = run->x,
					 .row_key = run->key,
					 .seq_key = run->key,
					 .future = run->future};

	return run->net.spec.arch->forward(&run->net, tape, &batch);
}

static void
step_work(void *arg)
{
	Run *run = arg;
	SlTape tape = {.arena = &run->arena,
				   .params = &run->net.params,
				   .value = run->value,
				   .grad = &run->grad};
	SlLoss loss = {.kind = SL_LOSS_MAE};

	run->arena.used = 0;
	sl_gradient_clear(&run->grad);

	SlTensor *out = forward(run, &tape);

	if (out != NULL)
		sl_loss(&loss, out, run->target, run->weight, NULL,
				1.0f / (float) run->pack.rows);
	if (out == NULL || sl_backward(&tape) != SL_OK)
	{
		fprintf(stderr, "the step failed (%d): %s\n", tape.status, sl_blas_error());
		exit(1);
	}

	SlOptimStep step = sl_optim_begin(SL_OPTIM_ADAM, ++run->t, 1e-3f, 0, 1);

	sl_gradient_update(&run->grad, &step, run->value, run->moments, 0,
					   sl_gradient_size(&run->grad));
}

static void
infer_work(void *arg)
{
	Run *run = arg;
	SlTape tape = {.arena = &run->arena, .params = &run->net.params, .value = run->value};

	run->arena.used = 0;
	forward(run, &tape);
}

static float *
numbers(size_t n)
{
	float *x = malloc((n + 1) * sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = (float) rand() / (float) RAND_MAX - 0.5f;
	return x;
}

static bool
is_lstm(const Shape *shape)
{
	return strncmp(shape->cell, "lstm", 4) == 0;
}

static void
run_open(Run *run, const Shape *shape)
{
	bool decodes = strstr(shape->cell, "-decoder") != NULL;
	SlNetSpec spec = {.arch = sl_arch_find(decodes ? "encoder_decoder" : shape->cell),
					  .cell = is_lstm(shape) ? SL_CELL_LSTM : SL_CELL_GRU,
					  .inputs = shape->features,
					  .known_inputs = shape->features,
					  .layers = shape->layers,
					  .outputs = 1};
	size_t rows = (size_t) shape->batch * shape->steps;

	memcpy(spec.hidden, shape->hidden, sizeof(spec.hidden));
	if (sl_net_define(&run->net, &spec) != SL_OK)
	{
		fprintf(stderr, "not a network\n");
		exit(1);
	}
	run->size = malloc(shape->steps * sizeof(int));
	run->offset = malloc((shape->steps + 1) * sizeof(int));
	for (int t = 0; t <= shape->steps; t++)
	{
		run->offset[t] = t * shape->batch;
		if (t < shape->steps)
			run->size[t] = shape->batch;
	}
	run->pack = (SlPack){shape->batch, shape->steps, (int) rows, run->size, run->offset};
	run->x = numbers(rows * shape->features);
	run->target = numbers(rows);
	run->moments = calloc(run->net.params.total, 2 * sizeof(float));
	run->value = numbers(run->net.params.total);
	for (size_t i = 0; i < run->net.params.total; i++)
		run->value[i] *= 0.1f;
	run->key = calloc(rows, sizeof(uint64_t));
	if (decodes)
	{
		int half = shape->steps / 2 * shape->batch;

		run->future = calloc(rows, 1);
		run->weight = calloc(rows, sizeof(float));
		for (int i = half; i < (int) rows; i++)
			run->weight[i] = run->future[i] = 1;
	}

	SlArena counting = {0};
	SlGradient plan;
	SlTape tape = {.arena = &counting, .params = &run->net.params, .grad = &plan};

	sl_gradient_plan(&plan, &run->net.params);
	forward(run, &tape);
	run->arena = (SlArena){aligned_alloc(SL_ALIGN, counting.used), counting.used, 0};
	counting.used = 0;
	sl_gradient_lay_out(&run->grad, &plan, 1, &counting);
	run->memory = aligned_alloc(SL_ALIGN, counting.used);
	counting = (SlArena){run->memory, counting.used, 0};
	sl_gradient_lay_out(&run->grad, &plan, 1, &counting);
	sl_gradient_start(&run->grad);
}

static void
run_close(Run *run)
{
	free(run->size);
	free(run->offset);
	free(run->x);
	free(run->target);
	free(run->value);
	free(run->memory);
	free(run->moments);
	free(run->key);
	free(run->future);
	free(run->weight);
	free(run->arena.base);
}

static double
operations(const Shape *shape)
{
	double gates = is_lstm(shape) ? 4 : 3;
	double sum = 0;
	int in = shape->features;

	for (int i = 0; i < shape->layers; i++)
	{
		/* the first step has no recurrent product */
		double recurrent =
			(double) shape->hidden[i] * (shape->steps - 1) / (double) shape->steps;

		sum += gates * shape->hidden[i] * (in + recurrent);
		in = shape->hidden[i];
	}
	return 6 * sum * shape->batch * shape->steps;
}

static bool
is_cell(const char *name)
{
	static const char *const names[] = {"gru", "lstm", "gru-decoder", "lstm-decoder"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
report(const char *cell, const char *text, double seconds)
{
	Shape shape = {0};
	Run run = {0};
	int used;

	snprintf(shape.cell, sizeof(shape.cell), "%s", cell);
	if (sscanf(text, "%dx%dx%d%n", &shape.batch, &shape.steps, &shape.features, &used) !=
			3 ||
		!is_cell(shape.cell))
	{
		fprintf(stderr, "not a shape: %s %s\n", cell, text);
		exit(1);
	}
	while (shape.layers < SL_MAX_LAYERS && text[used] == '-')
	{
		char *end;

		shape.hidden[shape.layers++] = (int) strtol(text + used + 1, &end, 10);
		used = (int) (end - text);
	}
	run_open(&run, &shape);

	double cpu, infer_cpu;
	double step = measure(step_work, &run, seconds, &cpu);
	double infer = measure(infer_work, &run, seconds / 4, &infer_cpu);

	printf(
		"%-12s %-18s %9.3f ms/step (cpu %9.3f, %6.1f GFLOP/s), forward only %9.4f ms (cpu "
		"%9.4f)\n",
		cell, text, 1e3 * step, 1e3 * cpu, operations(&shape) / cpu * 1e-9, 1e3 * infer,
		1e3 * infer_cpu);
	printf("RESULT\tstep %s %s\tours\t%.9f\t\nRESULT\tstep %s %s\toperations\t%.0f\t\n",
		   cell, text, cpu, cell, text, operations(&shape));
	fflush(stdout);
	run_close(&run);
}

int
main(int argc, char **argv)
{
	static const char *const table[][2] = {
		{"lstm", "400x1x9-250"},
		{"lstm", "400x20x9-250"},
		{"gru", "400x20x9-250"},
		{"lstm", "64x50x9-64"},
		{"lstm", "32x20x9-32"},
		{"lstm", "256x20x64-128-128"},
		{"lstm", "256x20x100-512"},
		{"lstm", "1x20x9-64"},
		{"lstm", "1x1x9-64"},
		{"gru-decoder", "256x20x64-128"},
		{"gru-decoder", "256x20x64-512"},
		{"lstm-decoder", "256x20x64-128"},
		{"lstm-decoder", "256x20x64-512"},
	};

	if (!sl_blas_load())
	{
		fprintf(stderr, "%s\n", sl_blas_error());
		return 1;
	}
	printf("%s, kernel %s, %d thread; vectors %s; product of %d x %d: %.1f GFLOP/s\n",
		   sl_blas_version(), sl_blas_kernel(), sl_blas_threads(), sl_kernel_name(), SIDE,
		   SIDE, gemm_rate(1) * 1e-9);
	if (argc >= 3)
		report(argv[1], argv[2], argc > 3 ? atof(argv[3]) : 2);
	else
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			report(table[i][0], table[i][1], 2);
	return 0;
}
