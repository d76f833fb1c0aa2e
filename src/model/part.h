/*
 * part.h: some rows of a batch as a batch of their own: those before the future, those in
 * it, one step of it.
 */
#ifndef SL_PART_H
#define SL_PART_H

#include "model/model.h"

typedef struct SlPart
{
	SlBatch batch; /* without states */
	SlPack pack;
	int *row;	   /* [pack.rows] in the whole batch */
	int *sequence; /* [pack.batch] in the whole batch */
	int *place; /* [whole batch] of each sequence in this one, -1: it has no row here */
	const int32_t *code[SL_MAX_EMBEDDINGS];
	int counted_size;
} SlPart;

/* A part that lives until the tape has been played back: in its memory, or local while
 * counting, when there is none. */
extern SlPart *sl_part_alloc(SlTape *tape, SlPart *local);

/*
 * Takes length[b] rows of sequence b, from its step first[b] on.  Memory is the tape's,
 * features and codes are copied; states are not taken.  Sequences without rows are left
 * out, and there may be none at all (pack.batch 0).  While counting, first and length are
 * not read: the part is said to be the whole batch.  False once the tape has failed.
 */
extern bool sl_part_take(SlPart *part, SlTape *tape, const SlNet *net,
						 const SlBatch *batch, const int *first, const int *length);

/* Both sides of where the future begins; where: [batch] steps of each sequence before
 * it, in the tape's memory (NULL while counting). */
extern bool sl_part_split(SlPart *past, SlPart *future, int **where, SlTape *tape,
						  const SlNet *net, const SlBatch *batch);

/* Numbers from the tape's memory; NULL while counting, or with the tape failed. */
extern int *sl_part_ints(SlTape *tape, size_t count);

/* For sl_gather: each row of the whole batch's row here, or -1.  NULL while counting. */
extern int *sl_part_places(const SlPart *part, SlTape *tape, const SlBatch *batch);

#endif
