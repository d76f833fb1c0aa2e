/*
 * encoder_decoder.c: the architecture "encoder_decoder" (Sutskever, Vinyals and Le 2014;
 * Cho et al. 2014).
 *
 *   rows before the future:  all columns   -> [recurrent -> dropout] x layers
 *                                                  | last states
 *                                               bridge
 *                                                  | first states
 *   rows of the future:      known columns -> [recurrent -> dropout] x layers -> head
 *
 * The decoder reads nothing but what is known of a row before it happens, and the item.
 * Every decoder layer starts from its encoder layer's last state.  A bidirectional
 * encoder has two of them, joined by a dense layer, the bridge: h and c (LSTM) of both
 * directions in, h and c out.  Dropout lies between layers, as torch.nn.GRU and LSTM have
 * it, and before the head.
 *
 * Packs of both sides have no padding: sequences without rows on one side are not in its
 * pack.
 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

#include "model/part.h"

/* Of dropout masks, each and the layer's number: outputs, and recurrences. */
enum
{
	DECODER_SALT = 0,
	DECODER_RECURRENT_SALT = 1000,
	ENCODER_SALT = 2000,
	ENCODER_RECURRENT_SALT = 3000
};

/* ---- parameters: net->recurrent has the decoder's layers, then the encoder's ---- */

static int
directions(const SlNetSpec *spec)
{
	return spec->bidirectional ? 2 : 1;
}

static SlRecurrent *
encoder_layer(const SlNet *net, int layer, int direction)
{
	int at = net->spec.layers + layer * directions(&net->spec) + direction;

	return (SlRecurrent *) &net->recurrent[at];
}

static void
define_encoder(SlNet *net)
{
	const SlNetSpec *spec = &net->spec;
	int in = sl_inputs_width(spec, SL_COLUMNS_ALL);

	for (int l = 0; l < spec->layers; l++)
	{
		for (int d = 0; d < directions(spec); d++)
		{
			SlRecurrent *layer = encoder_layer(net, l, d);

			*layer = sl_recurrent_define(&net->params, "encoder", l, d == 1, spec->cell,
										 in, spec->hidden[l]);
			layer->recurrent_dropout = spec->recurrent_dropout;
			layer->salt = ENCODER_RECURRENT_SALT + 2 * (uint32_t) l + (uint32_t) d;
		}
		in = directions(spec) * spec->hidden[l];
	}
}

static void
define_bridge(SlNet *net, int layer)
{
	int state = sl_recurrent_state(&net->recurrent[layer]);
	char name[SL_NAME_MAX];

	snprintf(name, sizeof(name), "bridge.l%d.weight", layer);
	net->dense_weight[layer] =
		sl_param_add(&net->params, name, state, 2 * state, SL_INIT_KERNEL, 1, 2 * state);
	snprintf(name, sizeof(name), "bridge.l%d.bias", layer);
	net->dense_bias[layer] =
		sl_param_add(&net->params, name, state, 0, SL_INIT_BIAS, 1, 2 * state);
}

static SlStatus
define(SlNet *net)
{
	const SlNetSpec *spec = &net->spec;
	int in = sl_inputs_width(spec, SL_COLUMNS_KNOWN);

	sl_inputs_define(net);
	define_encoder(net);
	for (int l = 0; l < spec->layers; l++)
	{
		SlRecurrent *layer = &net->recurrent[l];

		/* where nothing is known the decoder reads a column of zeros */
		*layer = sl_recurrent_define(&net->params, "decoder", l, false, spec->cell,
									 in > 0 ? in : 1, spec->hidden[l]);
		layer->recurrent_dropout = spec->recurrent_dropout;
		layer->salt = DECODER_RECURRENT_SALT + (uint32_t) l;
		net->state += sl_recurrent_state(layer);
		in = spec->hidden[l];
	}
	for (int l = 0; spec->bidirectional && l < spec->layers; l++)
		define_bridge(net, l);
	sl_head_define(net, in);
	return SL_OK;
}

/* ---- forward ---- */

typedef struct Pass
{
	const SlNet *net;
	SlTape *tape;
	const SlBatch *batch;
	SlPart *past;
	SlPart *future;
	SlTensor *encoded[SL_MAX_LAYERS]; /* the bridge's states, of past's sequences */
	SlTensor *last[SL_MAX_LAYERS];	  /* the decoder's last ones, of future's */
} Pass;

/* Zeros that gradients may be written to. */
static SlTensor *
zeros(SlTape *tape, int rows, int cols)
{
	SlTensor *result = sl_tensor(tape, rows, cols);

	if (result != NULL && !sl_counting(tape))
		memset(result->data, 0, (size_t) rows * (size_t) cols * sizeof(float));
	return result;
}

static void
encode(Pass *pass)
{
	const SlNet *net = pass->net;
	SlTape *tape = pass->tape;
	const SlBatch *batch = &pass->past->batch;
	SlTensor *h = sl_inputs(net, tape, batch, SL_COLUMNS_ALL);

	for (int l = 0; l < net->spec.layers && tape->status == SL_OK; l++)
	{
		SlTensor *y[2], *state[2];

		for (int d = 0; d < directions(&net->spec); d++)
			y[d] = sl_recurrent_between(tape, h, batch->pack, encoder_layer(net, l, d),
										NULL, &state[d], batch->seq_key);
		pass->encoded[l] = state[0];
		h = y[0];
		if (net->spec.bidirectional)
			pass->encoded[l] = sl_dense(tape, sl_concat(tape, state, 2),
										net->dense_weight[l], net->dense_bias[l]);
		if (l == net->spec.layers - 1)
			return; /* nobody reads its outputs */
		if (net->spec.bidirectional)
			h = sl_concat(tape, y, 2);
		h = sl_dropout(tape, h, net->spec.dropout, batch->row_key,
					   ENCODER_SALT + (uint32_t) l);
	}
}

/* Where future's sequences find their first states: in past's, or in state_in. */
static int *
first_places(Pass *pass)
{
	const SlPart *future = pass->future;
	int *from = sl_part_ints(pass->tape, (size_t) future->pack.batch);

	for (int i = 0; from != NULL && i < future->pack.batch; i++)
	{
		int sequence = future->sequence[i];
		int place = pass->past->place[sequence];

		from[i] = place >= 0 ? place : -1 - sequence;
	}
	return from;
}

/* One decoder layer, its state at offset state of a sequence's. */
static SlTensor *
decode_layer(Pass *pass, int l, SlTensor *h, const int *from, size_t state)
{
	const SlNet *net = pass->net;
	const SlBatch *batch = pass->batch;
	const SlPart *future = pass->future;
	const SlRecurrent *layer = &net->recurrent[l];
	const float *in = batch->state_in != NULL ? batch->state_in + state : NULL;
	float *out = batch->state_out != NULL ? batch->state_out + state : NULL;
	size_t stride = (size_t) net->state;

	/* without any past, future has the whole batch's sequences in their order */
	if (pass->encoded[l] == NULL)
		return sl_recurrent(pass->tape, h, &future->pack, layer, in, out, stride,
							future->batch.seq_key);
	return sl_recurrent_between(
		pass->tape, h, &future->pack, layer,
		sl_gather(pass->tape, pass->encoded[l], from, future->pack.batch, in, stride),
		&pass->last[l], future->batch.seq_key);
}

/* The outputs of future's rows. */
static SlTensor *
decode(Pass *pass)
{
	const SlNetSpec *spec = &pass->net->spec;
	SlTape *tape = pass->tape;
	const SlBatch *batch = &pass->future->batch;
	bool reads = sl_inputs_width(spec, SL_COLUMNS_KNOWN) > 0;
	SlTensor *h = reads ? sl_inputs(pass->net, tape, batch, SL_COLUMNS_KNOWN)
						: zeros(tape, batch->pack->rows, 1);
	const int *from = first_places(pass);
	size_t state = 0;

	for (int l = 0; l < spec->layers && tape->status == SL_OK; l++)
	{
		h = decode_layer(pass, l, h, from, state);
		h = sl_dropout(tape, h, spec->dropout, batch->row_key,
					   DECODER_SALT + (uint32_t) l);
		state += (size_t) sl_recurrent_state(&pass->net->recurrent[l]);
	}
	return sl_head(pass->net, tape, h);
}

/* The states after the batch: the decoder's, or the bridge's where it read nothing. */
static void
save_states(const Pass *pass)
{
	float *out = pass->batch->state_out;
	size_t stride = (size_t) pass->net->state;

	for (int l = 0; l < pass->net->spec.layers; l++)
	{
		size_t size = (size_t) sl_recurrent_state(&pass->net->recurrent[l]);

		for (int b = 0; pass->encoded[l] != NULL && b < pass->batch->pack->batch; b++)
		{
			int past = pass->past->place[b], future = pass->future->place[b];
			const float *state = future >= 0
									 ? pass->last[l]->data + (size_t) future * size
									 : pass->encoded[l]->data + (size_t) past * size;

			memcpy(out + (size_t) b * stride, state, size * sizeof(float));
		}
		out += size;
	}
}

static SlTensor *
forward(const SlNet *net, SlTape *tape, const SlBatch *batch)
{
	const SlNetSpec *spec = &net->spec;
	Pass pass = {.net = net, .tape = tape, .batch = batch};
	int outputs = spec->items > 0 ? spec->hidden[spec->layers - 1] : spec->outputs;
	SlPart local[2];
	SlTensor *y;
	int *where;

	if (tape->status != SL_OK)
		return NULL;
	pass.past = sl_part_alloc(tape, &local[0]);
	pass.future = sl_part_alloc(tape, &local[1]);
	if (!sl_part_split(pass.past, pass.future, &where, tape, net, batch))
		return NULL;
	if (pass.past->pack.batch > 0)
		encode(&pass);
	if (pass.future->pack.batch > 0)
		y = sl_gather(tape, decode(&pass), sl_part_places(pass.future, tape, batch),
					  batch->pack->rows, NULL, 0);
	else
		y = zeros(tape, batch->pack->rows, outputs);
	if (tape->status != SL_OK)
		return NULL;
	if (batch->state_out != NULL && !sl_counting(tape))
		save_states(&pass);
	return y;
}

const SlArch sl_arch_encoder_decoder = {.name = "encoder_decoder",
										.define = define,
										.forward = forward,
										.whole = true,
										.has_cell = true};
