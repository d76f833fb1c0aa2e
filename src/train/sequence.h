/*
 * sequence.h: the rows of a sequence as a network may see them: what is known when.
 *
 * Everything that feeds a network goes through here: training, prediction row by row, by
 * sequence and by table, decoding of items, evaluation.  What enters are cells: one value
 * of each input, as sl_input_cell() reads it from its own row.
 *
 * Without a horizon a row is predicted from itself and the rows before it.  Known cells
 * enter in their own row, observed ones a row later; so does the item, if items are what
 * is predicted (before the first row: SL_ITEM_PAD).
 *
 * With a horizon a sequence is its last sequence_length rows: first the past, not
 * predicted, then the future.  A past row shows all its cells.  A future row shows what
 * is known; observed cells and the past target are missing.  If items are predicted, a
 * past row has its own item and a future row that of the row before.
 *
 * The item of a past row that was skipped is replaced by SL_ITEM_SKIP if past_skips says
 * so.
 */
#ifndef SL_SEQUENCE_H
#define SL_SEQUENCE_H

#include "train/input.h"
#include "train/split.h"

/* Whether rows of a sequence at the same place are refused: with a horizon, and where
 * items are predicted, their order would be left to chance. */
static inline bool
sl_sequence_is_ordered(const SlOptions *options)
{
	return options->horizon != 0 || options->task == SL_TASK_NEXT_ITEMS;
}

/* Rows of a sequence that are not used, being too far back.  0 without a horizon. */
extern int sl_sequence_skipped(const SlOptions *options, int rows);

/*
 * How many of these used rows are past; 0 without a horizon.  The horizon says so, and in
 * task skip a target that is not known: its row is future, and so are all after it.
 * cell: [rows x inputs->count].
 */
extern int sl_sequence_past(const SlOptions *options, const SlInputs *inputs, int rows,
							const SlCellValue *cell);

/* With a horizon: cells of the used rows, [rows x inputs->count], from their own rows'
 * values to what enters.  Rows from past on are future. */
extern void sl_sequence_enter(const SlOptions *options, const SlInputs *inputs, int rows,
							  int past, SlCellValue *cell);

/*
 * Without a horizon: the same for the next row of a sequence.  What enters later is kept
 * in earlier[inputs->count], to be handed in with the row after; fresh: there is no row
 * before.
 */
extern void sl_sequence_next(const SlOptions *options, const SlInputs *inputs, bool fresh,
							 SlCellValue *cell, SlCellValue *earlier);

/* The code a network knows an item by, from its code in the vocabulary (0: unknown). */
static inline int32
sl_item_code(int32 vocabulary_code)
{
	return vocabulary_code > 0 ? vocabulary_code - 1 + SL_ITEM_FIRST : SL_ITEM_UNKNOWN;
}

/* Sequences with a horizon are held out whole: the part of one, given its rows' parts. */
extern SlPart sl_sequence_part(const uint8 *part, int rows);

#endif
