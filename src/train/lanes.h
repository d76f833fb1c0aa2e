/*
 * lanes.h: which rows a step takes, packed for the network.  Plain C11.
 *
 * A batch has up to batch_size lanes.  Each lane walks through one unit (a sequence, or
 * one row of it) in chunks and keeps its state between them; when its unit ends the next
 * in the queue takes the lane.  So every step has a full batch, no row is padding, and
 * the state a row is trained with is the one predict() would carry to it.
 */
#ifndef SL_LANES_H
#define SL_LANES_H

#include "nn/gradient.h"
#include "nn/item_loss.h"
#include "train/trainer.h"

#define SL_MAX_SHARDS 16

/* Rows waiting for a lane: a sequence up to its last row with weight, of one that has a
 * future the last sequence_length rows at most; or a single row. */
typedef struct SlUnit
{
	int first;
	int end;
	int sequence;
} SlUnit;

typedef struct SlUnits
{
	SlUnit *unit;
	int count;
	int *queue; /* the order in which they are taken; NULL: their own */
} SlUnits;

typedef struct SlLane
{
	int next; /* row to go on with */
	int end;
	int length; /* of the chunk of this step */
	int sequence;
	bool fresh; /* no state yet */
} SlLane;

typedef struct SlLanes
{
	const SlNet *net;
	const SlTrainSet *set;
	int count;
	int shard_count;  /* lanes of a shard, at most */
	int chunk_rows;	  /* rows of a lane in a step, at most */
	bool carries;	  /* state from chunk to chunk */
	bool schedules;	  /* a decoder reads some choices of its own */
	SlItemLoss items; /* where the network predicts items; the caller gives the sampler */

	/* shared */
	SlLane *lane;
	int *by_length; /* lanes, longest chunk first */
	float *state;	/* [count x net->state] */

	/* this step */
	int busy;	/* lanes that have a chunk: the first of by_length */
	int shards; /* shard s has the busy lanes s, s + shards, ... of by_length */
	int taken;	/* units, of this pass */

	/* one shard, packed */
	SlPack pack;
	float *x;
	int32_t *code[SL_MAX_EMBEDDINGS];
	float *y;
	int32_t *item;	 /* NULL: none */
	uint8_t *future; /* NULL: none */
	float *weight;
	uint8_t *censored;
	uint64_t *row_key;
	uint64_t *seq_key;
	int *size;
	int *offset;
	float *state_in;
	float *state_out;
} SlLanes;

/* Sequences, or rows if each is alone: more units than these there cannot be. */
extern int sl_units_most(const SlTrainSet *set, const SlTrainPlan *plan);

/* Units whose rows carry weight; rows in the order of time, if each is alone. */
extern void sl_units_collect(SlUnits *units, const SlTrainSet *set,
							 const SlTrainPlan *plan, const float *weight);

/* Fixes sizes and takes memory: of all processes from shared, to pack a shard in from
 * own. With empty arenas it only counts.  False if a shard is too large to be packed. */
extern bool sl_lanes_init(SlLanes *lanes, const SlNet *net, const SlTrainSet *set,
						  const SlTrainPlan *plan, SlArena *shared, SlArena *own);

/* Shards of a full batch. */
extern int sl_lanes_shards(const SlLanes *lanes);

/* Bytes of activations no shard exceeds, and the rows of tables that one may touch. */
extern size_t sl_lanes_activations(const SlLanes *lanes, SlGradient *plan);

/* Starts a pass over units: all lanes idle. */
extern void sl_lanes_start(SlLanes *lanes);

/* The next step's chunks; false when the pass is over. */
extern bool sl_lanes_fill(SlLanes *lanes, const SlUnits *units);

/* Sum of weights of this step's rows. */
extern double sl_lanes_weight(const SlLanes *lanes, const float *weight);

/* What sl_item_loss() is to look at, in the shard that was packed last. */
extern SlItemTarget sl_lanes_items(const SlLanes *lanes, uint64_t key);

/* Packs one shard of this step; the batch points into lanes. */
extern SlBatch sl_lanes_pack(SlLanes *lanes, int shard, const float *weight);

/* Takes over the states that the forward pass left in the shard's state_out. */
extern void sl_lanes_keep(SlLanes *lanes, int shard);

/* Moves all lanes past their chunks. */
extern void sl_lanes_advance(SlLanes *lanes);

#endif
