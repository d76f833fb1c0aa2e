/*
 * whole.c: see whole.h.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "predict/whole.h"
#include "sessionlen.h"
#include "train/sequence.h"

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
}

void
sl_whole_check_memory(const SlModel *model, int rows)
{
	Size bytes = sizeof(float) * (Size) rows *
				 ((Size) model->inputs->width + model->inputs->embeddings +
				  model->net.spec.outputs);

	if (bytes > (Size) sl_memory_limit * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("a sequence of %d rows does not fit into sessionlen.memory_limit",
						rows),
				 errdetail("Model \"%s\" makes %d numbers of a row.", model->model,
						   model->inputs->width + model->inputs->embeddings +
							   model->net.spec.outputs),
				 errhint("Raise sessionlen.memory_limit, or use predict_table().")));
}

SlWhole
sl_whole_enter(const SlModel *model, int rows, int past, SlCellValue *cell)
{
	const SlInputs *inputs = model->inputs;
	SlWhole whole = {.rows = rows};
	int32 row_code[SL_MAX_EMBEDDINGS];

	sl_whole_check_memory(model, rows);
	whole.past = past >= 0 ? past : sl_sequence_past(&model->options, inputs, rows, cell);
	whole.x = huge((Size) rows * inputs->width, sizeof(float));
	for (int e = 0; e < inputs->embeddings; e++)
		whole.code[e] = huge(rows, sizeof(int32));
	whole.future = huge(rows, sizeof(uint8));
	whole.out = huge((Size) rows * model->net.spec.outputs, sizeof(float));
	sl_sequence_enter(&model->options, inputs, rows, whole.past, cell);
	for (int i = 0; i < rows; i++)
	{
		sl_inputs_apply(inputs, cell + (Size) i * inputs->count,
						whole.x + (Size) i * inputs->width, row_code);
		for (int e = 0; e < inputs->embeddings; e++)
			whole.code[e][i] = row_code[e];
		whole.future[i] = i >= whole.past;
	}
	return whole;
}

void
sl_whole_run(SlRunner *runner, SlWhole *whole)
{
	if (whole->rows > 0)
		sl_runner_whole(runner, whole->rows, whole->x, whole->code, whole->future, NULL,
						whole->out);
}
