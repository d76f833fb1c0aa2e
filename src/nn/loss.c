/*
 * loss.c: losses row by row, with their gradients.
 *
 * A row's loss is computed in double from its raw outputs, so that a sum over many rows
 * of very different size keeps its small terms; gradients leave as float.  Every kind is
 * one function, found through the table below.
 *
 * Quantiles cannot cross, because the head predicts the lowest one and the steps up from
 * it: q_0 = o_0, q_k = q_(k-1) + softplus(o_k).  A row of zeros thus gives 0, ln 2,
 * 2 ln 2, ... in units of the transformed target: a sensible start for a standardised or
 * log1p target, while targets in raw seconds first have to learn their spread.
 *
 * Weibull's outputs are log scale and log shape.  They are clamped (the gradient outside
 * is 0, the clamp's own), and beyond (y / scale)^shape = e^10 the hazard goes on as its
 * tangent: rows that far out have no likelihood to speak of, but keep pulling the scale
 * towards them with a gradient that float can hold.
 */
#include "nn/loss.h"

#include <math.h>
#include <string.h>

#include "nn/cpu.h"
#include "nn/kernel.h"

/* Scale between 1e-13 and 1e13, shape between 1/20 and 20: any quantile of any level is
 * then a finite float. */
#define WEIBULL_MAX_LOG_SCALE 30.0
#define WEIBULL_MAX_LOG_SHAPE 3.0
#define WEIBULL_MAX_EXPONENT 10.0
#define WEIBULL_MIN_TARGET 1e-6

/* A row's loss; factor times its gradient into grad unless that is NULL. */
typedef double (*RowLoss)(const SlLoss *loss, const float *raw, float target,
						  bool censored, double factor, float *grad);

static double
softplus(double x)
{
	return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* The smaller exponential is the one computed, so neither side overflows. */
static double
logistic(double x)
{
	double e = exp(-fabs(x));

	return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/* Unlike fmin and fmax it lets a NaN through: the caller must get to see it. */
static double
clamp(double x, double limit)
{
	return x < -limit ? -limit : x > limit ? limit : x;
}

/* Losses of the difference of one output and the target.  A censored target is only a
 * lower bound: a prediction at or above it is not wrong. */
static double
difference_row(const SlLoss *loss, const float *raw, float target, bool censored,
			   double factor, float *grad)
{
	double r = (double) raw[0] - target, size = fabs(r), value = 0, slope = 0, one;
	double sign = (r > 0) - (r < 0);

	if (!(censored && r >= 0))
	{
		switch (loss->kind)
		{
			case SL_LOSS_MSE:
				value = r * r;
				slope = 2 * r;
				break;
			case SL_LOSS_HUBER:
				value = size < 1 ? 0.5 * r * r : size - 0.5;
				slope = size < 1 ? r : sign;
				break;
			case SL_LOSS_LOG_COSH:
				value = size + log1p(exp(-2 * size)) - log(2);
				slope = tanh(r);
				break;
			case SL_LOSS_MAPE: /* a target below 1 counts as 1 */
				one = loss->one > 0 ? loss->one : 1;
				value = size / fmax(fabs((double) target), one);
				slope = sign / fmax(fabs((double) target), one);
				break;
			default:
				value = size;
				slope = sign;
		}
	}
	if (grad)
		grad[0] = (float) (factor * slope);
	return value;
}

/* Binary cross-entropy of a logit.  "At least 1" is 1, "at least 0" says nothing. */
static double
bce_row(const SlLoss *loss, const float *raw, float target, bool censored, double factor,
		float *grad)
{
	double x = raw[0], y = target;
	bool silent = censored && y <= 0;

	if (grad)
		grad[0] = silent ? 0 : (float) (factor * (logistic(x) - y));
	return silent ? 0 : softplus(x) - x * y;
}

/* Side by side in one vector. */
#define LANES 16

SL_CLONES static float
largest_of(const float *x, int n)
{
	float lane[LANES], largest = x[0];
	int i = 0;

	for (int l = 0; l < LANES; l++)
		lane[l] = x[0];
	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
	for (; i < n; i++)
		largest = x[i] > largest ? x[i] : largest;
	for (int l = 0; l < LANES; l++)
		largest = lane[l] > largest ? lane[l] : largest;
	return largest;
}

SL_CLONES static double
sum_of(const float *x, int n)
{
	double lane[LANES] = {0}, sum = 0;
	int i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			lane[l] += x[i + l];
	for (; i < n; i++)
		sum += x[i];
	for (int l = 0; l < LANES; l++)
		sum += lane[l];
	return sum;
}

SL_CLONES static void
subtract(const float *x, float less, float *y, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = x[i] - less;
}

SL_CLONES static void
multiply(float *x, float factor, int n)
{
	for (int i = 0; i < n; i++)
		x[i] *= factor;
}

/* Around the largest, in blocks that stay in cache. */
double
sl_log_sum_exp(const float *x, int n)
{
	float block[1024], largest = largest_of(x, n);
	double sum = 0;

	if (largest == -INFINITY)
		return largest;
	for (int start = 0; start < n; start += 1024)
	{
		int count = n - start < 1024 ? n - start : 1024;

		subtract(x + start, largest, block, count);
		sl_exp(count, block, block);
		sum += sum_of(block, count);
	}
	return log(sum) + largest;
}

void
sl_exp_scaled(float *x, int n, float less, float factor)
{
	subtract(x, less, x, n);
	sl_exp(n, x, x);
	multiply(x, factor, n);
}

/* Classes have no order: censored is ignored.  A class that does not exist gives NaN. */
static double
cross_entropy_row(const SlLoss *loss, const float *raw, float target, bool censored,
				  double factor, float *grad)
{
	float block[1024], largest = largest_of(raw, loss->classes);
	double sum = 0;

	if (!(target >= 0 && target < loss->classes))
	{
		if (grad)
			memset(grad, 0, loss->classes * sizeof(float));
		return NAN;
	}
	for (int start = 0; start < loss->classes; start += 1024)
	{
		int n = loss->classes - start < 1024 ? loss->classes - start : 1024;
		float *e = grad ? grad + start : block;

		subtract(raw + start, largest, e, n);
		sl_exp(n, e, e);
		sum += sum_of(e, n);
	}
	if (grad)
	{
		multiply(grad, (float) (factor / sum), loss->classes);
		grad[(int) target] -= (float) factor;
	}
	return log(sum) + largest - raw[(int) target];
}

/*
 * With u = ln y - ln scale and z = shape * u the cumulated hazard is H = e^z, and
 * -log density = H - z - ln shape + ln y, -log survival = H.
 */
static double
weibull_row(const SlLoss *loss, const float *raw, float target, bool censored,
			double factor, float *grad)
{
	double log_scale = clamp(raw[0], WEIBULL_MAX_LOG_SCALE);
	double log_shape = clamp(raw[1], WEIBULL_MAX_LOG_SHAPE);
	double log_y = log(fmax(target, WEIBULL_MIN_TARGET));
	double shape = exp(log_shape), u = log_y - log_scale, z = shape * u;
	double slope = exp(fmin(z, WEIBULL_MAX_EXPONENT)); /* dH/dz */
	double hazard = slope * (1 + fmax(z - WEIBULL_MAX_EXPONENT, 0));
	double seen = censored ? 0 : 1;

	if (grad)
	{
		bool scale_free = fabsf(raw[0]) <= WEIBULL_MAX_LOG_SCALE;
		bool shape_free = fabsf(raw[1]) <= WEIBULL_MAX_LOG_SHAPE;

		grad[0] = scale_free ? (float) (factor * -shape * (slope - seen)) : 0;
		grad[1] = shape_free ? (float) (factor * ((slope - seen) * z - seen)) : 0;
	}
	return hazard + seen * (log_y - z - log_shape);
}

/* The non-crossing quantiles of a raw row. */
static void
quantile_values(const SlLoss *loss, const float *raw, double *q)
{
	q[0] = raw[0];
	for (int k = 1; k < loss->levels; k++)
		q[k] = q[k - 1] + softplus(raw[k]);
}

/* Pinball loss, the mean over levels.  A censored target y enters as Powell (1986) has
 * it: quantiles at or above y cost nothing. */
static double
quantile_row(const SlLoss *loss, const float *raw, float target, bool censored,
			 double factor, float *grad)
{
	double q[SL_MAX_QUANTILES], slope[SL_MAX_QUANTILES], value = 0, above = 0;

	quantile_values(loss, raw, q);
	for (int k = 0; k < loss->levels; k++)
	{
		double r = target - q[k], tau = loss->level[k];

		slope[k] = r > 0 ? -tau : r == 0 || censored ? 0 : 1 - tau;
		value += -slope[k] * r;
	}
	/* raw k moves all quantiles from k up */
	for (int k = loss->levels - 1; grad && k >= 0; k--)
	{
		above += slope[k];
		grad[k] =
			(float) (factor / loss->levels * above * (k > 0 ? logistic(raw[k]) : 1));
	}
	return value / loss->levels;
}

static const struct
{
	const char *name;
	RowLoss row;
} losses[] = {
	[SL_LOSS_MAE] = {"mae", difference_row},
	[SL_LOSS_MSE] = {"mse", difference_row},
	[SL_LOSS_HUBER] = {"huber", difference_row},
	[SL_LOSS_LOG_COSH] = {"log_cosh", difference_row},
	[SL_LOSS_MAPE] = {"mape", difference_row},
	[SL_LOSS_BCE] = {"bce", bce_row},
	[SL_LOSS_CROSS_ENTROPY] = {"cross_entropy", cross_entropy_row},
	[SL_LOSS_WEIBULL] = {"weibull", weibull_row},
	[SL_LOSS_QUANTILE] = {"quantile", quantile_row},
	[SL_LOSS_SAMPLED_SOFTMAX] = {"sampled_softmax", NULL},
	[SL_LOSS_BPR_MAX] = {"bpr_max", NULL},
	[SL_LOSS_TOP1_MAX] = {"top1_max", NULL},
};

#define LOSSES ((int) (sizeof(losses) / sizeof(losses[0])))

const char *
sl_loss_name(int kind)
{
	return kind >= 0 && kind < LOSSES ? losses[kind].name : NULL;
}

int
sl_loss_outputs(const SlLoss *loss)
{
	switch (loss->kind)
	{
		case SL_LOSS_CROSS_ENTROPY:
			return loss->classes;
		case SL_LOSS_WEIBULL:
			return 2;
		case SL_LOSS_QUANTILE:
			return loss->levels;
		default:
			return 1;
	}
}

double
sl_loss(const SlLoss *loss, const SlTensor *out, const float *target, const float *weight,
		const uint8_t *censored, float scale)
{
	double sum = 0;

	/* A tape that only counts, or that failed, has nothing to read. */
	if (out == NULL || out->data == NULL)
		return 0;
	if (losses[loss->kind].row == NULL)
		return NAN;

	for (int i = 0; i < out->rows; i++)
	{
		size_t at = (size_t) i * out->cols;
		float *grad = out->grad ? out->grad + at : NULL;
		double w = weight ? weight[i] : 1;

		if (w == 0)
		{
			if (grad)
				memset(grad, 0, out->cols * sizeof(float));
			continue;
		}
		sum += w * losses[loss->kind].row(loss, out->data + at, target[i],
										  censored && censored[i], w * scale, grad);
	}
	return sum;
}

/* The quantile of level p: scale * (-ln(1 - p))^(1 / shape). */
static float
weibull_quantile(const float *raw, double p)
{
	double log_scale = clamp(raw[0], WEIBULL_MAX_LOG_SCALE);
	double shape = exp(clamp(raw[1], WEIBULL_MAX_LOG_SHAPE));

	return (float) exp(log_scale + log(-log1p(-p)) / shape);
}

/* The median: level 0.5, or the line between its neighbours, or the nearest end. */
static float
quantile_median(const SlLoss *loss, const float *raw, float *quantiles)
{
	double q[SL_MAX_QUANTILES];
	int k = 0;

	quantile_values(loss, raw, q);
	for (int j = 0; quantiles && j < loss->levels; j++)
		quantiles[j] = (float) q[j];

	while (k < loss->levels && loss->level[k] < 0.5)
		k++;
	if (k == loss->levels)
		return (float) q[k - 1];
	if (k == 0)
		return (float) q[0];

	double below = loss->level[k - 1], above = loss->level[k];

	return (float) (q[k - 1] + (q[k] - q[k - 1]) * (0.5 - below) / (above - below));
}

float
sl_loss_predict(const SlLoss *loss, const float *raw, float *quantiles)
{
	int best = 0;

	switch (loss->kind)
	{
		case SL_LOSS_BCE:
			return (float) logistic(raw[0]);
		case SL_LOSS_CROSS_ENTROPY:
			for (int j = 1; j < loss->classes; j++)
				best = raw[j] > raw[best] ? j : best;
			return (float) best;
		case SL_LOSS_WEIBULL:
			for (int k = 0; quantiles && k < loss->levels; k++)
				quantiles[k] = weibull_quantile(raw, loss->level[k]);
			return weibull_quantile(raw, 0.5);
		case SL_LOSS_QUANTILE:
			return quantile_median(loss, raw, quantiles);
		default:
			return raw[0];
	}
}
