/*
 * ranker.c: see ranker.h.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "predict/ranker.h"
#include "sessionlen.h"

struct SlRanker
{
	const SlModel *model;
	SlItemHead head;
	MemoryContext context;
	SlArena work;
};

void
sl_ranker_check(const SlModel *model, const char *function)
{
	if (model->options.task != SL_TASK_NEXT_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("model \"%s\" does not predict items", model->model),
						errdetail("Its task is %s; %s() is for next_items.",
								  sl_task_name(model->options.task), function),
						errhint("Use predict() or predict_table().")));
}

int
sl_ranker_items(const SlModel *model)
{
	return model->net.spec.items;
}

SlRanker *
sl_ranker_create(const SlModel *model)
{
	const SlParams *params = &model->net.params;
	SlRanker *ranker = palloc0(sizeof(SlRanker));

	ranker->model = model;
	ranker->context = CurrentMemoryContext;
	ranker->head =
		(SlItemHead){.weight = model->value + params->item[model->net.head_weight].offset,
					 .bias = model->value + params->item[model->net.head_bias].offset,
					 .items = model->net.spec.items,
					 .hidden = model->net.spec.outputs};
	return ranker;
}

static bool
should_stop(void *arg)
{
	return QueryCancelPending || ProcDiePending;
}

static void
make_work(SlRanker *ranker, const SlItemRank *rank)
{
	SlArena count = {NULL, SIZE_MAX, 0};
	char *memory;

	if (ranker->work.base != NULL)
		return;
	(void) sl_item_rank(&ranker->head, NULL, 0, rank, NULL, NULL, &count);
	if (count.used > (Size) sl_memory_limit * 1024)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("ranking the items of model \"%s\" needs more than "
							   "sessionlen.memory_limit",
							   ranker->model->model),
						errdetail("Scores of its %d items take %zu MB.",
								  ranker->head.items, count.used >> 20),
						errhint("Raise sessionlen.memory_limit.")));
	memory = MemoryContextAllocHuge(ranker->context, count.used + SL_ALIGN);
	ranker->work = (SlArena){(char *) TYPEALIGN(SL_ALIGN, memory), count.used, 0};
}

void
sl_ranker_rank(SlRanker *ranker, const float *hidden, int rows, const SlItemRank *rank)
{
	SlStatus status;

	make_work(ranker, rank);
	status =
		sl_item_rank(&ranker->head, hidden, rows, rank, should_stop, NULL, &ranker->work);
	if (status == SL_STOPPED)
		CHECK_FOR_INTERRUPTS();
	if (status != SL_OK)
		elog(ERROR, "ranking items failed with status %d", (int) status);
}

double
sl_ranker_probability(const SlModel *model, double log_probability)
{
	if (isnan(log_probability))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a prediction of model \"%s\" is out of range", model->model),
				 errdetail("An input value or a weight is too large.")));
	return exp(log_probability);
}
