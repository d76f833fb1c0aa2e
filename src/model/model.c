/*
 * model.c: the table of architectures and the checks that hold for all of them.
 */
#include "model/model.h"

#include <stdint.h>
#include <string.h>

#include "model/arch.h"

#define MAX_HIDDEN 4096
#define MAX_VOCABULARY 10000000
#define MAX_COLUMNS 65536 /* inputs of the first layer, outputs of the last */

static const SlArch *const archs[] = {
	&sl_arch_gru, &sl_arch_lstm, &sl_arch_encoder_decoder, &sl_arch_multi_input_lstm};

#define ARCHS ((int) (sizeof(archs) / sizeof(archs[0])))

const SlArch *
sl_arch_find(const char *name)
{
	for (int i = 0; i < ARCHS; i++)
		if (strcmp(archs[i]->name, name) == 0)
			return archs[i];
	return NULL;
}

const char *
sl_arch_name(int i)
{
	return i >= 0 && i < ARCHS ? archs[i]->name : NULL;
}

static bool
between(long value, long low, long high)
{
	return value >= low && value <= high;
}

/* A probability of dropping; NaN is none. */
static bool
is_dropout(float p)
{
	return p >= 0 && p < 1;
}

/* The groups of numeric columns and the item are within the columns there are. */
static bool
groups_are_valid(const SlNetSpec *spec)
{
	long grouped =
		(long) spec->known_inputs + spec->observed_inputs + spec->target_inputs;

	return spec->known_inputs >= 0 && spec->observed_inputs >= 0 &&
		   spec->target_inputs >= 0 && grouped <= spec->inputs &&
		   (!spec->has_item || between(spec->item, 0, spec->embeddings - 1)) &&
		   between(spec->item_features, 0, MAX_HIDDEN) &&
		   between(spec->items, 0, MAX_VOCABULARY);
}

static bool
spec_is_valid(const SlNetSpec *spec)
{
	long columns = spec->inputs;

	if (spec->arch == NULL || !between(spec->inputs, 0, MAX_COLUMNS) ||
		!between(spec->embeddings, 0, SL_MAX_EMBEDDINGS) ||
		!between(spec->layers, 1, SL_MAX_LAYERS) ||
		!between(spec->outputs, 1, MAX_VOCABULARY) || !is_dropout(spec->dropout) ||
		!is_dropout(spec->recurrent_dropout))
		return false;
	for (int i = 0; i < spec->embeddings; i++)
	{
		if (!between(spec->vocabulary[i], 1, MAX_VOCABULARY) ||
			!between(spec->embedding_dim[i], 1, MAX_HIDDEN) ||
			memchr(spec->embedding_name[i], 0, SL_NAME_MAX) == NULL)
			return false;
		columns += spec->embedding_dim[i];
	}
	for (int i = 0; i < spec->layers; i++)
		if (!between(spec->hidden[i], 1, MAX_HIDDEN))
			return false;
	columns += spec->item_features;
	return between(columns, 1, MAX_COLUMNS) && groups_are_valid(spec);
}

SlStatus
sl_net_define(SlNet *net, const SlNetSpec *spec)
{
	if (!spec_is_valid(spec))
		return SL_BAD_SHAPE;
	memset(net, 0, sizeof(*net));
	net->spec = *spec;

	SlStatus status = spec->arch->define(net);

	if (status == SL_OK && net->params.overflow)
		status = SL_BAD_SHAPE;
	return status;
}
