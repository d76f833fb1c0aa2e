/*
 * inputs.c: a row's columns as a network reads them, and its head.
 *
 *   numeric features | embeddings of codes | the item's features
 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

void
sl_inputs_define(SlNet *net)
{
	const SlNetSpec *spec = &net->spec;

	for (int i = 0; i < spec->embeddings; i++)
	{
		char name[2 * SL_NAME_MAX];

		snprintf(name, sizeof(name), "embedding.%s.weight", spec->embedding_name[i]);
		net->embedding[i] = sl_param_add_table(&net->params, name, spec->vocabulary[i],
											   spec->embedding_dim[i], SL_INIT_EMBEDDING,
											   spec->embedding_dim[i], SL_UPDATE_ROWS);
	}
	if (spec->has_item && spec->item_features > 0)
		net->item_features = sl_param_add_table(
			&net->params, "item_features.weight", spec->vocabulary[spec->item],
			spec->item_features, SL_INIT_EMBEDDING, spec->item_features,
			spec->item_features_trained ? SL_UPDATE_ROWS : SL_UPDATE_NONE);
}

/* ---- which columns ---- */

/* The numeric ones lie together. */
static void
numeric_columns(const SlNetSpec *spec, SlColumns columns, int *first, int *count)
{
	*first = columns == SL_COLUMNS_OBSERVED ? spec->known_inputs : 0;
	*count = columns == SL_COLUMNS_ALL	   ? spec->inputs
			 : columns == SL_COLUMNS_KNOWN ? spec->known_inputs
										   : spec->observed_inputs;
}

static bool
reads_embedding(const SlNetSpec *spec, SlColumns columns, int i)
{
	bool known = spec->embedding_known[i] || (spec->has_item && spec->item == i);

	return columns == SL_COLUMNS_ALL || known == (columns == SL_COLUMNS_KNOWN);
}

static bool
reads_item_features(const SlNetSpec *spec, SlColumns columns)
{
	return spec->has_item && spec->item_features > 0 && columns != SL_COLUMNS_OBSERVED;
}

int
sl_inputs_width(const SlNetSpec *spec, SlColumns columns)
{
	int first, width;

	numeric_columns(spec, columns, &first, &width);
	for (int i = 0; i < spec->embeddings; i++)
		if (reads_embedding(spec, columns, i))
			width += spec->embedding_dim[i];
	return width + (reads_item_features(spec, columns) ? spec->item_features : 0);
}

/* Columns first .. first + count - 1 of the batch's numeric ones. */
static SlTensor *
numeric(const SlNet *net, SlTape *tape, const SlBatch *batch, int first, int count)
{
	int inputs = net->spec.inputs, rows = batch->pack->rows;
	float *part;

	if (count == inputs)
		return sl_input(tape, batch->x, rows, count);
	part = sl_alloc(tape->arena, (size_t) rows * count, sizeof(float));
	if (tape->arena->used == SIZE_MAX && tape->status == SL_OK)
		tape->status = SL_NO_MEMORY;
	for (int i = 0; part != NULL && i < rows; i++)
		memcpy(part + (size_t) i * count, batch->x + (size_t) i * inputs + first,
			   (size_t) count * sizeof(float));
	return sl_input(tape, part, rows, count);
}

SlTensor *
sl_inputs(const SlNet *net, SlTape *tape, const SlBatch *batch, SlColumns columns)
{
	const SlNetSpec *spec = &net->spec;
	bool counting = sl_counting(tape);
	int rows = batch->pack->rows;
	SlTensor *part[SL_MAX_EMBEDDINGS + 2];
	int parts = 0, first, count;

	numeric_columns(spec, columns, &first, &count);
	if (count > 0)
		part[parts++] = numeric(net, tape, batch, first, count);
	for (int i = 0; i < spec->embeddings; i++)
		if (reads_embedding(spec, columns, i))
			part[parts++] = sl_embedding(tape, counting ? NULL : batch->code[i], rows,
										 net->embedding[i]);
	if (reads_item_features(spec, columns))
		part[parts++] = sl_embedding(tape, counting ? NULL : batch->code[spec->item],
									 rows, net->item_features);
	return parts == 1 ? part[0] : sl_concat(tape, part, parts);
}

/* ---- the head ---- */

void
sl_head_define(SlNet *net, int hidden)
{
	bool items = net->spec.items > 0;
	int outputs = items ? net->spec.items : net->spec.outputs;
	SlUpdate update = items ? SL_UPDATE_ROWS : SL_UPDATE_DENSE;

	net->head_weight = sl_param_add_table(&net->params, "head.weight", outputs, hidden,
										  SL_INIT_KERNEL, hidden, update);
	net->head_bias = sl_param_add_table(&net->params, "head.bias", outputs, 0,
										SL_INIT_BIAS, hidden, update);
}

SlTensor *
sl_head(const SlNet *net, SlTape *tape, SlTensor *hidden)
{
	return net->spec.items > 0 ? hidden
							   : sl_dense(tape, hidden, net->head_weight, net->head_bias);
}
