/*
 * optim.c: optimisers, gradient clipping and learning-rate schedules.
 *
 * The formulas, their order of operations and the constants are those of torch.optim,
 * so that a run can be compared with PyTorch step by step.  Each optimiser is one fused
 * loop over the flat arrays: a step is bound by memory, and every array is read and
 * written once.  What does not depend on the weight (bias corrections, NAdam's momentum
 * schedule) is worked out in double before the loop.
 */
#include "nn/optim.h"

#include <math.h>

#include "nn/cpu.h"

#define BETA1 0.9
#define BETA2 0.999
#define EPSILON 1e-8f
#define RMSPROP_ALPHA 0.99f
#define ADAGRAD_EPSILON 1e-10f
#define NADAM_MOMENTUM_DECAY 4e-3

static const struct
{
	const char *name;
	float rate;
	int moments;
} optimisers[] = {
	[SL_OPTIM_ADAM] = {"adam", 1e-3f, 2},
	[SL_OPTIM_ADAMW] = {"adamw", 1e-3f, 2},
	[SL_OPTIM_NADAM] = {"nadam", 2e-3f, 2},
	[SL_OPTIM_RMSPROP] = {"rmsprop", 1e-2f, 1},
	[SL_OPTIM_ADAGRAD] = {"adagrad", 1e-2f, 1},
	[SL_OPTIM_SGD] = {"sgd", 1e-2f, 0},
};

#define OPTIMISERS ((int) (sizeof(optimisers) / sizeof(optimisers[0])))

const char *
sl_optim_name(int kind)
{
	return kind >= 0 && kind < OPTIMISERS ? optimisers[kind].name : NULL;
}

float
sl_optim_default_rate(SlOptimKind kind)
{
	return optimisers[kind].rate;
}

int
sl_optim_moments(SlOptimKind kind)
{
	return optimisers[kind].moments;
}

/*
 * Adam, AdamW and NAdam: w = keep * w - (by_mean * m + by_grad * g) / (sqrt(v) * root +
 * eps).  decay is L2 (added to the gradient), keep < 1 is AdamW's; by_grad is NAdam's
 * look ahead.
 */
SL_CLONES static void
adam_loop(size_t n, float decay, float keep, float by_mean, float by_grad, float root,
		  float epsilon, float *restrict value, const float *restrict grad,
		  float *restrict mean, float *restrict square)
{
	const float b1 = BETA1, b2 = BETA2, c1 = 1 - BETA1, c2 = 1 - BETA2;

	for (size_t i = 0; i < n; i++)
	{
		float g = grad[i] + decay * value[i];
		float m = b1 * mean[i] + c1 * g;
		float v = b2 * square[i] + c2 * (g * g);

		mean[i] = m;
		square[i] = v;
		value[i] =
			keep * value[i] - (by_mean * m + by_grad * g) / (sqrtf(v) * root + epsilon);
	}
}

SL_CLONES static void
rmsprop_loop(size_t n, float rate, float decay, float *restrict value,
			 const float *restrict grad, float *restrict square)
{
	for (size_t i = 0; i < n; i++)
	{
		float g = grad[i] + decay * value[i];
		float v = RMSPROP_ALPHA * square[i] + (1 - RMSPROP_ALPHA) * (g * g);

		square[i] = v;
		value[i] -= rate * g / (sqrtf(v) + EPSILON);
	}
}

SL_CLONES static void
adagrad_loop(size_t n, float rate, float decay, float *restrict value,
			 const float *restrict grad, float *restrict sum)
{
	for (size_t i = 0; i < n; i++)
	{
		float g = grad[i] + decay * value[i];
		float s = sum[i] + g * g;

		sum[i] = s;
		value[i] -= rate * g / (sqrtf(s) + ADAGRAD_EPSILON);
	}
}

SL_CLONES static void
sgd_loop(size_t n, float rate, float decay, float *restrict value,
		 const float *restrict grad)
{
	for (size_t i = 0; i < n; i++)
		value[i] -= rate * (grad[i] + decay * value[i]);
}

/* NAdam's momentum at step t (Dozat 2016). */
static double
nadam_momentum(int64_t t)
{
	return BETA1 * (1 - 0.5 * pow(0.96, (double) t * NADAM_MOMENTUM_DECAY));
}

static void
begin_adam(SlOptimStep *step, int64_t t, double mu_product)
{
	double correction1 = 1 - pow(BETA1, (double) t),
		   correction2 = 1 - pow(BETA2, (double) t);
	double rate = step->rate, by_mean = rate / correction1, by_grad = 0;

	if (step->kind == SL_OPTIM_ADAMW)
	{
		step->keep = (float) (1 - rate * step->decay);
		step->decay = 0;
	}
	else if (step->kind == SL_OPTIM_NADAM)
	{
		double mu = nadam_momentum(t), next = nadam_momentum(t + 1);

		by_grad = rate * (1 - mu) / (1 - mu_product);
		by_mean = rate * next / (1 - mu_product * next);
	}
	step->by_mean = (float) by_mean;
	step->by_grad = (float) by_grad;
	step->root = (float) (1 / sqrt(correction2));
}

void
sl_optim_advance(SlOptimKind kind, int64_t t, double *mu_product)
{
	if (kind == SL_OPTIM_NADAM)
		*mu_product *= nadam_momentum(t);
}

SlOptimStep
sl_optim_begin(SlOptimKind kind, int64_t t, float learning_rate, float weight_decay,
			   double mu_product)
{
	SlOptimStep step = {.kind = kind,
						.rate = learning_rate,
						.decay = weight_decay,
						.keep = 1,
						.epsilon = EPSILON};

	if (kind == SL_OPTIM_ADAM || kind == SL_OPTIM_ADAMW || kind == SL_OPTIM_NADAM)
		begin_adam(&step, t, mu_product);
	return step;
}

SlOptimStep
sl_optim_rows(const SlOptimStep *step)
{
	SlOptimStep rows = *step;

	if (step->kind == SL_OPTIM_ADAM || step->kind == SL_OPTIM_ADAMW)
		rows.epsilon *= step->root;
	return rows;
}

void
sl_optim_apply(const SlOptimStep *step, size_t n, float *value, const float *grad,
			   float *first, float *second)
{
	/* the moments of weights without a gradient decay towards 0 for ever */
	uint64_t mode = sl_flush_denormals();

	switch (step->kind)
	{
		case SL_OPTIM_ADAM:
		case SL_OPTIM_ADAMW:
		case SL_OPTIM_NADAM:
			adam_loop(n, step->decay, step->keep, step->by_mean, step->by_grad,
					  step->root, step->epsilon, value, grad, first, second);
			break;
		case SL_OPTIM_RMSPROP:
			rmsprop_loop(n, step->rate, step->decay, value, grad, first);
			break;
		case SL_OPTIM_ADAGRAD:
			adagrad_loop(n, step->rate, step->decay, value, grad, first);
			break;
		case SL_OPTIM_SGD:
			sgd_loop(n, step->rate, step->decay, value, grad);
			break;
	}
	sl_restore_denormals(mode);
}

void
sl_optim_step(SlOptimKind kind, int64_t t, float learning_rate, float weight_decay,
			  double *mu_product, size_t n, float *value, const float *grad,
			  float *moments)
{
	sl_optim_advance(kind, t, mu_product);

	SlOptimStep step = sl_optim_begin(kind, t, learning_rate, weight_decay,
									  mu_product != NULL ? *mu_product : 1);
	int kept = sl_optim_moments(kind);

	sl_optim_apply(&step, n, value, grad, kept > 0 ? moments : NULL,
				   kept > 1 ? moments + n : NULL);
}

#define NORM_LANES 16

/* Sum of squares in double.  The order is written out (lane by lane, then the lanes), so
 * it does not depend on what the compiler makes of the loop. */
SL_CLONES double
sl_sum_of_squares(const float *x, size_t n)
{
	double lane[NORM_LANES] = {0}, sum = 0;
	size_t i = 0;

	for (; i + NORM_LANES <= n; i += NORM_LANES)
		for (int j = 0; j < NORM_LANES; j++)
			lane[j] += (double) x[i + j] * x[i + j];
	for (int j = 0; i < n; i++, j++)
		lane[j] += (double) x[i] * x[i];
	for (int j = 0; j < NORM_LANES; j++)
		sum += lane[j];
	return sum;
}

SL_CLONES void
sl_scale(float *x, size_t n, float factor)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= factor;
}

/* A NaN gives 1: the gradient stays as it is and the caller sees the norm. */
float
sl_clip_factor(double norm, double max)
{
	double factor = max / (norm + 1e-6);

	return max > 0 && factor < 1 ? (float) factor : 1;
}

double
sl_clip_norm(float *grad, size_t n, float max)
{
	double norm = sqrt(sl_sum_of_squares(grad, n));
	float factor = sl_clip_factor(norm, max);

	if (factor < 1)
		sl_scale(grad, n, factor);
	return norm;
}

static const char *const schedules[] = {
	[SL_SCHEDULE_CONSTANT] = "constant", [SL_SCHEDULE_LINEAR] = "linear",
	[SL_SCHEDULE_COSINE] = "cosine",	 [SL_SCHEDULE_EXPONENTIAL] = "exponential",
	[SL_SCHEDULE_STEP] = "step",
};

const char *
sl_schedule_name(int kind)
{
	bool known = kind >= 0 && kind < (int) (sizeof(schedules) / sizeof(schedules[0]));

	return known ? schedules[kind] : NULL;
}

/*
 * Warm-up rises by equal steps to the full rate at step = warmup, so that no step has
 * rate 0; the decay then runs over the remaining total - warmup steps and would reach its
 * end at step = total, one after the last.
 */
float
sl_schedule(SlScheduleKind kind, int64_t step, int64_t total, int64_t warmup)
{
	if (step < warmup)
		return (float) ((double) (step + 1) / (double) (warmup + 1));

	double done = step < total ? (double) (step - warmup) / (double) (total - warmup) : 1;

	switch (kind)
	{
		case SL_SCHEDULE_LINEAR:
			return (float) (1 - done);
		case SL_SCHEDULE_COSINE:
			return (float) (0.5 * (1 + cos(3.14159265358979323846 * done)));
		case SL_SCHEDULE_EXPONENTIAL:
			return (float) pow(0.01, done);
		case SL_SCHEDULE_STEP:
			return done < 0.5 ? 1.0f : done < 0.75 ? 0.1f : 0.01f;
		default:
			return 1;
	}
}
