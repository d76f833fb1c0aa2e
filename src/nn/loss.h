/*
 * loss.h: losses, their gradients, and how raw network outputs become predictions.
 */
#ifndef SL_LOSS_H
#define SL_LOSS_H

#include "nn/nn.h"

typedef enum SlLossKind
{
	SL_LOSS_MAE,
	SL_LOSS_MSE,
	SL_LOSS_HUBER, /* delta 1, in units of the transformed target */
	SL_LOSS_LOG_COSH,
	SL_LOSS_MAPE,		   /* targets from 1 up; see SlLoss.one */
	SL_LOSS_BCE,		   /* one logit, target 0 or 1 */
	SL_LOSS_CROSS_ENTROPY, /* classes logits, target the class number */
	SL_LOSS_WEIBULL,	   /* two outputs: log scale, log shape; targets above 0 */
	SL_LOSS_QUANTILE, /* pinball; levels outputs, made non-crossing by softplus steps */
	/* over drawn items instead of all classes; not for sl_loss() but sl_item_loss() */
	SL_LOSS_SAMPLED_SOFTMAX,
	SL_LOSS_BPR_MAX,
	SL_LOSS_TOP1_MAX
} SlLossKind;

#define SL_MAX_QUANTILES 32

typedef struct SlLoss
{
	SlLossKind kind;
	int classes; /* cross-entropy only */
	int levels;	 /* quantile only: rising, each in (0, 1) */
	float level[SL_MAX_QUANTILES];
	float one; /* mape: what a target of 1 is once scaled; 0 means 1 */
} SlLoss;

/* The name in options ("mae", ...), or NULL past the end: to look up and to list. */
extern const char *sl_loss_name(int kind);

/* Columns the network's head must have. */
extern int sl_loss_outputs(const SlLoss *loss);

/*
 * Sum over rows of weight[i] * loss(out[i], target[i]); rows of weight 0 (a missing
 * target) are not read.  weight NULL: all 1.  censored[i] (or NULL) marks a target that
 * is only known to be at least that large: Weibull takes the survival function there,
 * the others count only a prediction below it.  If out->grad is set it receives
 * scale * d(sum)/d(out), zeros for rows of weight 0.
 */
extern double sl_loss(const SlLoss *loss, const SlTensor *out, const float *target,
					  const float *weight, const uint8_t *censored, float scale);

/* The logarithm of the sum of exp(x[i]) over n >= 1 numbers, whatever their size. */
extern double sl_log_sum_exp(const float *x, int n);

/* x[i] = factor * exp(x[i] - less). */
extern void sl_exp_scaled(float *x, int n, float less, float factor);

/*
 * The prediction of one raw output row: the value itself, the probability (bce), the
 * most likely class, the median (weibull, quantile: level 0.5 or interpolated).
 * quantiles, if not NULL, receives loss->levels values for weibull or quantile.
 */
extern float sl_loss_predict(const SlLoss *loss, const float *raw, float *quantiles);

#endif
