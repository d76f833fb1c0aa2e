/*
 * optim.h: optimisers as one pass over flat arrays, with torch.optim's semantics and
 * defaults; gradient clipping and learning-rate schedules.
 */
#ifndef SL_OPTIM_H
#define SL_OPTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum SlOptimKind
{
	SL_OPTIM_ADAM,
	SL_OPTIM_ADAMW,
	SL_OPTIM_NADAM,
	SL_OPTIM_RMSPROP,
	SL_OPTIM_ADAGRAD,
	SL_OPTIM_SGD
} SlOptimKind;

/* The name in options, or NULL past the end. */
extern const char *sl_optim_name(int kind);
/* PyTorch's default learning rate: 1e-3, nadam 2e-3, rmsprop and adagrad 1e-2, sgd 1e-2.
 */
extern float sl_optim_default_rate(SlOptimKind kind);
/* Moment arrays of n floats the optimiser keeps: 0, 1 or 2.  They start at zero. */
extern int sl_optim_moments(SlOptimKind kind);

/* One step, to be applied to the weights in pieces: what does not depend on them. */
typedef struct SlOptimStep
{
	SlOptimKind kind;
	float rate;
	float decay;   /* L2, added to the gradient */
	float keep;	   /* adam and its kin: AdamW's factor on the weight, */
	float by_mean; /* rates of the mean and of the gradient itself, */
	float by_grad;
	float root;	   /* factor of the square root of the mean square, */
	float epsilon; /* added to it */
} SlOptimStep;

/* Moves NAdam's running product on, once a step; other optimisers have none. */
extern void sl_optim_advance(SlOptimKind kind, int64_t t, double *mu_product);
/* Step number t, from 1, with the product moved on; see sl_optim_step(). */
extern SlOptimStep sl_optim_begin(SlOptimKind kind, int64_t t, float learning_rate,
								  float weight_decay, double mu_product);
/* The same step for rows of a table: adam and adamw become
 * torch.optim.SparseAdam (the latter with its decay of the weights), which adds epsilon
 * before the bias correction and not after it. */
extern SlOptimStep sl_optim_rows(const SlOptimStep *step);
/* The step on n weights, with their moments (where the optimiser keeps any). */
extern void sl_optim_apply(const SlOptimStep *step, size_t n, float *value,
						   const float *grad, float *first, float *second);

/* Step number t (from 1) on n weights; moments is [sl_optim_moments * n].  mu_product is
 * NAdam's running product, kept by the caller, starting at 1; each call moves it on, so
 * one call makes one step (others may pass NULL).  weight_decay is L2 added to the
 * gradient; AdamW's shrinks the weights directly. */
extern void sl_optim_step(SlOptimKind kind, int64_t t, float learning_rate,
						  float weight_decay, double *mu_product, size_t n, float *value,
						  const float *grad, float *moments);

/* In double, in an order that depends on n alone. */
extern double sl_sum_of_squares(const float *x, size_t n);
extern void sl_scale(float *x, size_t n, float factor);

/* By which a gradient of that norm is scaled down, if max > 0: at most 1, also for a norm
 * that is not a number. */
extern float sl_clip_factor(double norm, double max);

/* Euclidean norm of grad; scales it down to max if max > 0 and the norm is larger, as
 * torch.nn.utils.clip_grad_norm_.  Returns the norm before. */
extern double sl_clip_norm(float *grad, size_t n, float max);

typedef enum SlScheduleKind
{
	SL_SCHEDULE_CONSTANT,
	SL_SCHEDULE_LINEAR,		 /* to 0 at the end */
	SL_SCHEDULE_COSINE,		 /* to 0 at the end, half a cosine */
	SL_SCHEDULE_EXPONENTIAL, /* to 1/100 at the end */
	SL_SCHEDULE_STEP		 /* divided by 10 at one half and at three quarters */
} SlScheduleKind;

extern const char *sl_schedule_name(int kind);

/* Learning rate factor at step (from 0) of total.  The first warmup steps rise linearly
 * (never from 0) and the decay runs over the rest; step total and later give its end. */
extern float sl_schedule(SlScheduleKind kind, int64_t step, int64_t total,
						 int64_t warmup);

#endif
