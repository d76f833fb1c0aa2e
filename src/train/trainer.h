/*
 * trainer.h: the training loop over arrays.  Plain C11: the glue reads rows, estimates
 * memory, reports progress and stores the result.
 */
#ifndef SL_TRAINER_H
#define SL_TRAINER_H

#include "model/model.h"
#include "nn/loss.h"
#include "nn/optim.h"
#include "train/target.h"

#define SL_MAX_STEPS 4096 /* of sequence_length */

/* Rows of a sequence lie together, in order: sequence s has rows start[s] ..
 * start[s+1]-1. */
typedef struct SlTrainSet
{
	int rows;
	int sequences;
	const int *start; /* [sequences + 1] */
	int inputs;
	const float *x;				/* [rows x inputs] */
	const int32_t *const *code; /* [embeddings][rows] */
	const float *y;				/* [rows], transformed */
	const int32_t *item;		/* [rows], the class to predict, -1: none; NULL: y is */
	const int64_t *item_count;	/* [net's items], training rows each has; NULL likewise */
	const uint8_t *future;		/* [rows], as in SlBatch; NULL: none.  Else sequences are
								   taken whole: their last sequence_length rows */
	const float
		*train_weight; /* [rows], 0: not trained on (its row still moves the state) */
	const float *validation_weight; /* [rows] */
	const uint8_t *censored;		/* [rows] or NULL */
	const int *time_order;			/* [rows], rows by order key over all sequences */
	SlTarget target;
} SlTrainSet;

typedef struct SlTrainPlan
{
	int batch_size;
	int sequence_length;
	int epochs;
	double time_limit;
	int patience;
	bool shuffle;
	uint64_t seed;
	SlLoss loss;
	SlOptimKind optimizer;
	float learning_rate;
	SlScheduleKind schedule;
	int warmup;
	float clip_norm;
	float weight_decay;
	int negatives;		   /* items a step draws, by losses that draw */
	float teacher_forcing; /* share of steps in which a decoder is given the true item */
} SlTrainPlan;

typedef struct SlEpoch
{
	int epoch; /* from 1 */
	double training_loss;
	double validation_loss; /* NaN without validation rows, or time to see them */
	double validation_mae;	/* in the target's own units; NaN likewise, and for items,
							   classes and probabilities */
	double learning_rate;
	double gradient_norm; /* mean over the epoch's steps, before clipping */
	int64_t rows;		  /* training rows seen */
	double seconds;
} SlEpoch;

/* How far a run is, for progress lines. */
typedef struct SlProgress
{
	int epoch;
	int epochs;
	int64_t step;	/* of the epoch */
	int64_t steps;	/* in an epoch */
	int64_t rows;	/* trained in the run so far */
	double loss;	/* mean of the epoch so far */
	double seconds; /* of the run */
} SlProgress;

typedef struct SlTeam SlTeam;

/* What the caller provides; any may be NULL. */
typedef struct SlTrainHooks
{
	void *arg;
	bool (*should_stop)(void *arg);
	void (*step)(void *arg, const SlProgress *progress);
	void (*epoch)(void *arg, const SlEpoch *epoch);
	double (*now)(void *arg); /* seconds, monotonic; required */
	SlTeam *team;			  /* processes that help, or NULL */
} SlTrainHooks;

/* All that training changes: saved with the version, loaded by a warm start. */
typedef struct SlTrainState
{
	float *value;	/* [params.total] */
	float *moments; /* [moments * params.total] */
	int64_t step;	/* optimiser steps done */
	double mu_product;
} SlTrainState;

typedef struct SlTrainResult
{
	int epochs;	  /* run */
	SlEpoch best; /* the epoch whose weights are kept */
	int64_t rows; /* training rows seen in all */
	double seconds;
	bool out_of_time;
} SlTrainResult;

/* Lets those of net's parameters rest that this training leaves as state has them. */
extern void sl_train_rest(SlNet *net, const SlTrainPlan *plan, const SlTrainState *state);

/* Bytes of work memory sl_train() needs; SIZE_MAX if the sizes overflow. */
extern size_t sl_train_memory(const SlNet *net, const SlTrainSet *set,
							  const SlTrainPlan *plan);

/* Bytes of a team's shared memory, and of each process's work memory at most. */
extern size_t sl_train_team_memory(const SlNet *net, const SlTrainSet *set,
								   const SlTrainPlan *plan, size_t *each);

/* Processes that a step has work for, at most. */
extern int sl_train_team_size(const SlNet *net, const SlTrainSet *set,
							  const SlTrainPlan *plan);

/* About how many operations a row costs in training; look-ups in tables left out. */
extern double sl_train_operations(const SlNet *net, const SlTrainSet *set,
								  const SlTrainPlan *plan);

/* A time limit for a training by plan that starts when so many seconds are left to it and
 * others: its first step is always done. */
extern double sl_train_time_left(const SlTrainPlan *plan, double left);

/* Trains state in place.  work must have sl_train_memory() bytes or, with a team, what
 * sl_train_team_memory() says. */
extern SlStatus sl_train(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan,
						 const SlTrainHooks *hooks, SlTrainState *state, SlArena *work,
						 SlTrainResult *result);

#endif
