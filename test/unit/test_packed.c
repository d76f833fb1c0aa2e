/*
 * test_packed.c: products with packed matrices by every instruction set this machine
 * has: against their definition within the stated error, the same bits however rows and
 * terms are cut, nothing written beside the result; and layers with weights that were
 * packed before.
 */
#include "nn/packed.h"

#include "nn/kernel.h"
#include "nn/weight.h"

#include "pack.h"
#include "tap.h"

/* Random shapes of each kind. */
#define SHAPES 600
#define LARGEST 70
#define SEQUENCES 7

typedef struct Case
{
	int m, n, terms;
	bool add, trans;
	int k[2];
	size_t lda[2], ldb[2], ldc;
	float *a[2], *b[2], *data[2], *before, *c;
	SlPacked packed[2];
	SlTerm term[2];
} Case;

static int
draw(uint64_t *seed, int from, int to)
{
	return from + (int) ((pack_random(seed) + 1) / 2 * (float) (to - from + 1));
}

static void
case_open(Case *x, uint64_t *seed, int deepest)
{
	x->m = draw(seed, 1, LARGEST);
	x->n = draw(seed, 1, LARGEST);
	x->terms = draw(seed, 1, SL_MAX_TERMS);
	x->add = draw(seed, 0, 1);
	x->trans = draw(seed, 0, 1);
	x->ldc = (size_t) x->n + draw(seed, 0, 3);
	x->before = pack_numbers(seed, x->m * x->ldc, 1);
	x->c = malloc(x->m * x->ldc * sizeof(float));
	for (int t = 0; t < x->terms; t++)
	{
		int k = draw(seed, 1, deepest);

		x->k[t] = k;
		x->lda[t] = (size_t) k + draw(seed, 0, 3);
		x->ldb[t] = (size_t) (x->trans ? k : x->n) + draw(seed, 0, 3);
		x->a[t] = pack_numbers(seed, x->m * x->lda[t], 1);
		x->b[t] = pack_numbers(seed, x->ldb[t] * (x->trans ? x->n : k), 1);
		x->data[t] = aligned_alloc(SL_ALIGN, sl_packed_size(k, x->n) * sizeof(float));
		x->packed[t] = sl_pack(x->trans, k, x->n, x->b[t], x->ldb[t], x->data[t]);
		x->term[t] = (SlTerm){x->a[t], x->lda[t], &x->packed[t]};
	}
}

static void
case_close(Case *x)
{
	for (int t = 0; t < x->terms; t++)
	{
		free(x->a[t]);
		free(x->b[t]);
		free(x->data[t]);
	}
	free(x->before);
	free(x->c);
}

static void
case_run(Case *x)
{
	memcpy(x->c, x->before, x->m * x->ldc * sizeof(float));
	sl_packed_product(x->m, x->term, x->terms, x->add, x->c, x->ldc);
}

/* The error of an element over what is allowed. */
static double
element_error(const Case *x, int i, int j)
{
	float got = x->c[i * x->ldc + j], old = x->before[i * x->ldc + j];
	double want = x->add ? old : 0;
	double sum = fabs(want);
	int products = 1;

	if (j >= x->n)
		return got == old ? 0 : INFINITY;
	for (int t = 0; t < x->terms; t++)
		for (int l = 0; l < x->k[t]; l++, products++)
		{
			size_t at = x->trans ? j * x->ldb[t] + l : l * x->ldb[t] + j;
			double p = (double) x->a[t][i * x->lda[t] + l] * x->b[t][at];

			want += p;
			sum += fabs(p);
		}
	/* without a fused multiply-add, products are rounded too */
	return fabs(got - want) / (1.01 * (products + 1) * 0x1p-24 * sum);
}

static void
check_definition(int shapes, int deepest)
{
	uint64_t seed = 3;
	double error = 0;

	for (int s = 0; s < shapes; s++)
	{
		Case x;

		case_open(&x, &seed, deepest);
		case_run(&x);
		for (int i = 0; i < x.m; i++)
			for (int j = 0; j < (int) x.ldc; j++)
				error = pack_worse(error, element_error(&x, i, j));
		case_close(&x);
	}
	ok(error <= 1, "%s: %d shapes up to depth %d, error %.2f of what is allowed",
	   sl_kernel_name(), shapes, deepest, error);
}

/* Any cut into calls of a few rows, and terms one after the other. */
static void
check_cuts(void)
{
	uint64_t seed = 4;
	bool same = true;

	for (int s = 0; s < SHAPES; s++)
	{
		Case x;
		float *c;

		case_open(&x, &seed, LARGEST);
		case_run(&x);
		c = malloc(x.m * x.ldc * sizeof(float));
		memcpy(c, x.before, x.m * x.ldc * sizeof(float));
		for (int i = 0, rows; i < x.m; i += rows)
		{
			rows = draw(&seed, 1, x.m - i < 13 ? x.m - i : 13);
			for (int t = 0; t < x.terms; t++)
			{
				SlTerm term = x.term[t];

				term.a += i * term.stride;
				sl_packed_product(rows, &term, 1, x.add || t > 0, c + i * x.ldc, x.ldc);
			}
		}
		same &= memcmp(c, x.c, x.m * x.ldc * sizeof(float)) == 0;
		free(c);
		case_close(&x);
	}
	ok(same, "%s: the same bits in any cut", sl_kernel_name());
}

/* What is not finite stays in its row of A or its column of B. */
static void
check_not_finite(void)
{
	enum
	{
		SIDE = 37
	};
	uint64_t seed = 5;
	float *a = pack_numbers(&seed, SIDE * SIDE, 1),
		  *b = pack_numbers(&seed, SIDE * SIDE, 1);
	float *data = aligned_alloc(SL_ALIGN, sl_packed_size(SIDE, SIDE) * sizeof(float));
	float c[SIDE * SIDE];
	bool right = true;

	a[5 * SIDE + 7] = NAN;
	a[9 * SIDE + 2] = INFINITY;
	b[3 * SIDE + 36] = -INFINITY;

	SlPacked packed = sl_pack(false, SIDE, SIDE, b, SIDE, data);
	SlTerm term = {a, SIDE, &packed};

	sl_packed_product(SIDE, &term, 1, false, c, SIDE);
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++)
			right &= i == 5 ? isnan(c[i * SIDE + j]) != 0
							: isfinite(c[i * SIDE + j]) == (i != 9 && j != 36);
	ok(right, "%s: NaN and infinities go where they belong", sl_kernel_name());
	free(a);
	free(b);
	free(data);
}

static void
check_sizes(void)
{
	float c = 7;
	SlTerm none = {0};

	ok(sl_packed_size(INT32_MAX, INT32_MAX) >= (size_t) INT32_MAX * INT32_MAX,
	   "large sizes do not overflow");
	sl_packed_product(0, &none, 1, false, &c, 1);
	ok(c == 7, "no rows: nothing is written");
}

/* ---- a layer's weights, packed before ---- */

typedef struct Net
{
	SlParams params;
	SlRecurrent layer;
	float *value;
} Net;

static void *
room(SlArena *arena, size_t bytes)
{
	*arena = (SlArena){aligned_alloc(SL_ALIGN, (bytes + SL_ALIGN) / SL_ALIGN * SL_ALIGN),
					   bytes, 0};
	return arena->base;
}

static const SlPackedWeight *
packed_weights(const Net *net, SlArena *arena)
{
	SlArena count = {0};

	sl_params_pack(&net->params, NULL, &count);
	room(arena, count.used);

	const SlPackedWeight *packed = sl_params_pack(&net->params, net->value, arena);

	ok(packed != NULL, "weights of %zu bytes packed in %zu",
	   net->params.total * sizeof(float), count.used);
	is_int(arena->used, count.used, "as many as were counted");

	SlArena small = {arena->base, arena->used - 1, 0};

	ok(sl_params_pack(&net->params, net->value, &small) == NULL,
	   "one byte less: no room");
	small = (SlArena){arena->base, arena->size, 0};
	return sl_params_pack(&net->params, net->value, &small);
}

static size_t
run(const Net *net, const SlPack *pack, const float *x, const SlPackedWeight *packed,
	SlArena *arena, float *out)
{
	SlTape *tape = calloc(1, sizeof(SlTape));
	size_t used;

	*tape = (SlTape){
		.arena = arena, .params = &net->params, .value = net->value, .packed = packed};

	SlTensor *in = sl_input(tape, x, pack->rows, net->params.item[0].cols);
	SlTensor *y = sl_recurrent(tape, in, pack, &net->layer, NULL, NULL, 0, NULL);

	if (out != NULL && y != NULL)
		memcpy(out, y->data, (size_t) pack->rows * net->layer.hidden * sizeof(float));
	used = tape->status == SL_OK ? arena->used : SIZE_MAX;
	free(tape);
	return used;
}

static void
check_layer(SlCell cell, bool reverse, const int *length, int batch)
{
	enum
	{
		IN = 5,
		HIDDEN = 21
	};
	Net net = {0};
	TestPack p;
	uint64_t seed = 8;
	SlArena weights, arena, count = {0};

	net.layer = sl_recurrent_define(&net.params, "rnn", 0, reverse, cell, IN, HIDDEN);
	net.value = pack_numbers(&seed, net.params.total, 0.3f);
	pack_make(&p, length, batch);

	float *x = pack_numbers(&seed, (size_t) p.pack.rows * IN, 1);
	size_t size = (size_t) p.pack.rows * HIDDEN * sizeof(float);
	float *plain = malloc(size), *before = malloc(size);
	const SlPackedWeight *packed = packed_weights(&net, &weights);
	size_t own = run(&net, &p.pack, x, NULL, &count, NULL);

	count.used = 0;

	size_t given = run(&net, &p.pack, x, packed, &count, NULL);

	ok(given < own, "a pass needs less memory with weights packed before");
	room(&arena, own);
	is_int(run(&net, &p.pack, x, NULL, &arena, plain), own, "a pass that packs");
	arena.used = 0;
	is_int(run(&net, &p.pack, x, packed, &arena, before), given, "and one that does not");
	ok(memcmp(plain, before, size) == 0, "%s, %d sequences%s: the same bits",
	   cell == SL_CELL_LSTM ? "LSTM" : "GRU", batch, reverse ? ", reverse" : "");
	free(net.value);
	free(x);
	free(plain);
	free(before);
	free(weights.base);
	free(arena.base);
}

int
main(void)
{
	static const char *const sets[] = {"avx512f", "avx2", "default"};
	static const int lengths[SEQUENCES] = {9, 9, 6, 4, 4, 2, 1};

	for (int i = 0; i < 3; i++)
		if (sl_kernel_choose(sets[i]))
		{
			check_definition(SHAPES, LARGEST);
			check_definition(20, 1500);
			check_cuts();
			check_not_finite();
		}
	check_sizes();
	for (int i = 0; i < 4; i++)
	{
		check_layer(i & 1 ? SL_CELL_LSTM : SL_CELL_GRU, i & 2, lengths, 1);
		check_layer(i & 1 ? SL_CELL_LSTM : SL_CELL_GRU, i & 2, lengths, SEQUENCES);
	}
	return done_testing();
}
