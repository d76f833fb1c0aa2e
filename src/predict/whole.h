/*
 * whole.h: one sequence taken whole: its past and future rows at once.
 */
#ifndef SL_WHOLE_H
#define SL_WHOLE_H

#include "predict/runner.h"

/* Network inputs of a sequence, in the current memory context. */
typedef struct SlWhole
{
	int rows;
	int past; /* of them not predicted */
	float *x; /* [rows x inputs] */
	int32 *code[SL_MAX_EMBEDDINGS];
	uint8 *future;
	float *out; /* [rows x outputs] */
} SlWhole;

/* Turns the cells of its rows, [rows x inputs->count], into what the network sees; the
 * cells are changed.  past < 0: by the horizon and the targets that are known. */
extern SlWhole sl_whole_enter(const SlModel *model, int rows, int past,
							  SlCellValue *cell);

/* Refuses so many rows of one sequence if they take more than the limit. */
extern void sl_whole_check_memory(const SlModel *model, int rows);

/* Runs it; *out then holds the raw outputs of all rows. */
extern void sl_whole_run(SlRunner *runner, SlWhole *whole);

#endif
