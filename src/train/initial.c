/*
 * initial.c: the weights a run starts from.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "embed/embedding.h"
#include "train/run.h"

void *
sl_run_aligned(Size bytes)
{
	char *memory = MemoryContextAllocHuge(CurrentMemoryContext, bytes + SL_ALIGN);

	return (void *) TYPEALIGN(SL_ALIGN, memory);
}

static void
copy_base_weights(SlRun *run)
{
	const SlModel *base = run->base;
	const SlParams *params = &run->net->params;
	bool same = params->count == base->net.params.count &&
				params->total == base->net.params.total;

	for (int i = 0; same && i < params->count; i++)
		same = strcmp(params->item[i].name, base->net.params.item[i].name) == 0 &&
			   params->item[i].rows == base->net.params.item[i].rows &&
			   params->item[i].cols == base->net.params.item[i].cols;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("warm_start needs the network of version %d", base->version),
				 errhint("Give the same architecture, hidden_dim and loss.")));
	memcpy(run->state.value, base->value, sizeof(float) * params->total);
	if (base->cluster == SL_NO_CLUSTER &&
		base->options.optimizer == run->options->optimizer)
		sl_store_load_checkpoint(base->model, base->version, &run->state,
								 sl_optim_moments(run->plan.optimizer), params->total);
}

/* A network of one output starts from the training target's median, or the logit of its
 * mean; a softmax over items from their shares of the training rows. */
static void
start_head(SlRun *run)
{
	const SlOptions *options = run->options;
	const SlItemTable *items = run->source->items;
	float *bias = run->state.value + run->net->params.item[run->net->head_bias].offset;
	double rows = 0;

	if (options->task != SL_TASK_NEXT_ITEMS)
	{
		if (run->net->spec.outputs == 1)
			bias[0] = (float) run->prepared->start_value;
		return;
	}
	if (options->loss != SL_LOSS_CROSS_ENTROPY &&
		options->loss != SL_LOSS_SAMPLED_SOFTMAX)
		return;
	for (int i = 0; i < items->count; i++)
		rows += items->rows[i] + 1.0;
	for (int i = 0; i < items->count; i++)
		bias[i] = (float) log((items->rows[i] + 1.0) / rows);
}

static void
start_features(SlRun *run)
{
	const SlItemTable *items = run->source->items;
	const SlParams *params = &run->net->params;

	if (items == NULL || items->feature == NULL)
		return;
	for (int p = 0; p < params->count; p++)
		if (strcmp(params->item[p].name, "item_features.weight") == 0)
			memcpy(run->state.value + params->item[p].offset, items->feature,
				   sizeof(float) * (Size) params->item[p].rows * params->item[p].cols);
}

/* Items that the named embedding knows start from their vectors there. */
static void
start_embedding(SlRun *run)
{
	const SlOptions *options = run->options;
	const SlVocabulary *items = sl_inputs_items(run->prepared->inputs);
	const SlNet *net = run->net;
	const SlParam *param;
	const char **text;
	bool *known;
	float *rows;
	int found;

	if (options->pretrained == NULL)
		return;
	param = &net->params.item[net->embedding[net->spec.item]];
	rows = run->state.value + param->offset + (Size) SL_ITEM_FIRST * param->cols;
	text = palloc_extended(sizeof(char *) * net->spec.vocabulary[net->spec.item],
						   MCXT_ALLOC_HUGE);
	known = palloc_extended(net->spec.vocabulary[net->spec.item], MCXT_ALLOC_HUGE);
	for (int i = 0; i < sl_vocabulary_count(items); i++)
		text[i] = sl_vocabulary_text(items, i + 1);
	found = sl_embedding_load(sl_embedding_find(options->pretrained),
							  sl_vocabulary_count(items), text, rows, param->cols, known);
	for (Size i = 0; i < (Size) sl_vocabulary_count(items) * param->cols; i++)
		if (!isfinite(rows[i]))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("embedding \"%s\" holds NaN or infinity",
								   options->pretrained)));
	if (found == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("embedding \"%s\" has none of the items", options->pretrained),
				 errhint("Its items must be the values of the item column.")));
	if (options->verbose)
		ereport(NOTICE, (errmsg("%d of %d items start from embedding \"%s\"", found,
								sl_vocabulary_count(items), options->pretrained)));
	pfree(text);
	pfree(known);
}

static void
initial_weights(SlRun *run)
{
	const SlParams *params = &run->net->params;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	SlStatus status;

	sl_params_init(params, (SlInitStyle) run->options->init, run->plan.seed,
				   run->state.value, &count);
	work = (SlArena){sl_run_aligned(count.used), count.used, 0};
	status = sl_params_init(params, (SlInitStyle) run->options->init, run->plan.seed,
							run->state.value, &work);
	if (status != SL_OK)
		elog(ERROR, "could not initialise weights: status %d", (int) status);
	start_head(run);
	start_features(run);
	start_embedding(run);
}

void
sl_run_start(SlRun *run)
{
	if (run->base)
		copy_base_weights(run);
	else
		initial_weights(run);
}
