/*
 * recurrent.c: the architectures "gru" and "lstm".
 *
 *   codes -> embeddings --+
 *   numeric features -----+-- concat -> [recurrent -> dropout] x layers -> head
 *
 * Causal: a row sees itself and the rows before it, so the state carries from chunk to
 * chunk in training and from row to row in prediction.
 */
#include "model/arch.h"

#include <stdio.h>

/* Of dropout masks: layer i's output has salt i, its recurrence RECURRENT_SALT + i. */
#define RECURRENT_SALT 1000

static SlStatus
define(SlNet *net, SlCell cell)
{
	const SlNetSpec *spec = &net->spec;
	int in = spec->inputs;

	for (int i = 0; i < spec->embeddings; i++)
	{
		char name[2 * SL_NAME_MAX];

		snprintf(name, sizeof(name), "embedding.%s.weight", spec->embedding_name[i]);
		net->embedding[i] =
			sl_param_add(&net->params, name, spec->vocabulary[i], spec->embedding_dim[i],
						 SL_INIT_EMBEDDING, 1, spec->embedding_dim[i]);
		in += spec->embedding_dim[i];
	}
	for (int i = 0; i < spec->layers; i++)
	{
		SlRecurrent *layer = &net->recurrent[i];

		*layer =
			sl_recurrent_define(&net->params, "rnn", i, false, cell, in, spec->hidden[i]);
		layer->recurrent_dropout = spec->recurrent_dropout;
		layer->salt = RECURRENT_SALT + (uint32_t) i;
		net->state += sl_recurrent_state(layer);
		in = spec->hidden[i];
	}
	net->head_weight = sl_param_add(&net->params, "head.weight", spec->outputs, in,
									SL_INIT_KERNEL, 1, in);
	net->head_bias =
		sl_param_add(&net->params, "head.bias", spec->outputs, 0, SL_INIT_BIAS, 1, in);
	return SL_OK;
}

static SlStatus
define_gru(SlNet *net)
{
	return define(net, SL_CELL_GRU);
}

static SlStatus
define_lstm(SlNet *net)
{
	return define(net, SL_CELL_LSTM);
}

/* Numeric features and looked-up embeddings side by side, [rows x in]. */
static SlTensor *
inputs(const SlNet *net, SlTape *tape, const SlBatch *batch)
{
	const SlNetSpec *spec = &net->spec;
	int rows = batch->pack->rows;
	SlTensor *part[SL_MAX_EMBEDDINGS + 1];
	int parts = 0;

	if (spec->inputs > 0)
		part[parts++] = sl_input(tape, batch->x, rows, spec->inputs);
	for (int i = 0; i < spec->embeddings; i++)
		part[parts++] = sl_embedding(tape, sl_counting(tape) ? NULL : batch->code[i],
									 rows, net->embedding[i]);
	return parts == 1 ? part[0] : sl_concat(tape, part, parts);
}

static SlTensor *
forward(const SlNet *net, SlTape *tape, const SlBatch *batch)
{
	const SlNetSpec *spec = &net->spec;
	SlTensor *h = inputs(net, tape, batch);
	size_t state = 0;

	for (int i = 0; i < spec->layers; i++)
	{
		const SlRecurrent *layer = &net->recurrent[i];

		h = sl_recurrent(tape, h, batch->pack, layer,
						 batch->state_in != NULL ? batch->state_in + state : NULL,
						 batch->state_out != NULL ? batch->state_out + state : NULL,
						 (size_t) net->state, batch->seq_key);
		h = sl_dropout(tape, h, spec->dropout, batch->row_key, (uint32_t) i);
		state += (size_t) sl_recurrent_state(layer);
	}
	return sl_dense(tape, h, net->head_weight, net->head_bias);
}

const SlArch sl_arch_gru = {.name = "gru", .define = define_gru, .forward = forward};
const SlArch sl_arch_lstm = {.name = "lstm", .define = define_lstm, .forward = forward};
