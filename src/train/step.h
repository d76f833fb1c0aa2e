/*
 * step.h: one step of training, as items that any process of a team may compute.  Plain
 * C11.
 *
 * Each process has its own SlStep: pointers into the memory that all share, and memory of
 * its own to pack a shard in.  The leader's functions start with sl_step_; a member only
 * serves.
 */
#ifndef SL_STEP_H
#define SL_STEP_H

#include "train/lanes.h"
#include "train/team.h"

typedef enum SlTaskKind
{
	SL_TASK_TRAIN,	  /* item: a shard, forward and backward */
	SL_TASK_VALIDATE, /* item: a shard, forward */
	SL_TASK_SUM,   /* item: a range of the gradient; its sum over shards and its square */
	SL_TASK_UPDATE /* item: a range of the gradient; the optimiser */
} SlTaskKind;

/* What all items of a publication have in common. */
typedef struct SlTask
{
	SlTaskKind kind;
	int epoch;
	int busy; /* of the lanes */
	int shards;
	int64_t number; /* of the step in its pass */
	float scale;	/* of the loss's gradient; 0: no row counts */
	float clip;		/* factor of the gradient */
	float rate;
	int64_t step;
	double mu_product;
	size_t size;  /* of the gradient, */
	size_t range; /* and of an item of it */
} SlTask;

/* Absolute errors are in the target's own units, of rows whose target is known. */
typedef struct SlShardResult
{
	SlStatus status;
	double loss;
	double error;
	int64_t error_rows;
} SlShardResult;

typedef struct SlStepShared
{
	SlBoard board;
	SlTask task;
	SlShardResult result[SL_MAX_SHARDS];
} SlStepShared;

typedef struct SlStep
{
	const SlNet *net;
	const SlTrainSet *set;
	const SlTrainPlan *plan;
	bool (*should_stop)(void *arg); /* ends this process's part; may be NULL */
	void *stop_arg;
	bool (*should_cut)(void *arg); /* leader: ends this publication; may be NULL */
	void *cut_arg;
	SlTeam *team; /* NULL: alone */
	int member;	  /* 0: the leader */
	int item;	  /* in work here, or -1 */

	/* shared */
	SlStepShared *shared;
	float *value;
	float *moments;
	SlGradient grad; /* sum over shards */
	SlGradient
		shard_grad[SL_MAX_SHARDS]; /* where there can be several; alone: the first */
	double *square;				   /* [ranges] */
	SlSampler sampler;			   /* of items, where the loss draws them */

	/* of this process */
	SlLanes lanes;
	SlArena activations;
} SlStep;

/*
 * Takes a step's memory from both arenas, which may be the same; with empty ones it only
 * counts.  Alone, value and moments must have been set.  False if sizes overflow.
 */
extern bool sl_step_lay_out(SlStep *step, SlArena *shared, SlArena *own);

/* First of all, once: not by members. */
extern void sl_step_start(SlStep *step);

/* Runs the lanes' shards, step number of the pass in that epoch; the sums of their
 * results go to *total. */
extern SlStatus sl_step_shards(SlStep *step, SlTaskKind kind, int epoch, int64_t number,
							   float scale, SlShardResult *total);

/* The gradient's norm, after SL_TASK_TRAIN with a scale above 0. */
extern SlStatus sl_step_norm(SlStep *step, double *norm);

/* One step of the optimiser with the gradient times clip. */
extern SlStatus sl_step_update(SlStep *step, float clip, float rate, SlTrainState *state);

/*
 * The memory of a team: everything members need of a training.  The leader shares and at
 * the end collects; members join once the leader calls for them, and serve until
 * should_stop says so.
 */

/* Leader: step's net, set and plan and the state are copied into the team's memory, and
 * step laid out there.  With empty arenas it only counts. */
extern bool sl_step_share(SlStep *step, const SlTrainState *state, SlArena *own);
extern void sl_step_collect(const SlStep *step, SlTrainState *state);

/* Member: bytes of memory of its own; SIZE_MAX if it would not compute the same bits as
 * the leader.  step's team and member must have been set. */
extern size_t sl_step_join_memory(const SlStep *step, void *shared, size_t size);
extern bool sl_step_join(SlStep *step, void *shared, size_t size, SlArena *own);
extern void sl_step_serve(SlStep *step);

/* Member: gives back what it has claimed, if anything. */
extern void sl_step_leave(SlStep *step);

#endif
