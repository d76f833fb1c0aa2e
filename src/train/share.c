/*
 * share.c: what the members of a team need to know, in the memory they share; see step.h
 * and share.h.
 *
 * The leader and the members lay the memory out with the same code, each with pointers of
 * its own.  Nothing in it points anywhere: an architecture is found by its name, and
 * pointers in copied structs only say whether there is an array.
 */
#include <stdio.h>
#include <string.h>

#include "nn/blas.h"
#include "nn/kernel.h"
#include "nn/optim.h"
#include "train/share.h"
#include "train/step.h"

typedef struct Segment
{
	char arch[SL_NAME_MAX];
	char arithmetic[SL_ARITHMETIC_MAX];
	SlNet net;
	SlTrainPlan plan;
	SlTrainSet set;
} Segment;

/* What a process looks at instead: with pointers of its own. */
typedef struct View
{
	SlNet net;
	SlTrainPlan plan;
	SlTrainSet set;
	const int32_t *code[SL_MAX_EMBEDDINGS];
} View;

void
sl_share_arithmetic(char text[SL_ARITHMETIC_MAX])
{
	snprintf(text, SL_ARITHMETIC_MAX, "%s, %s, %s", sl_blas_version(), sl_blas_kernel(),
			 sl_kernel_name());
}

/* Room for an array, filled by the leader; NULL where there is none. */
static const void *
share_array(SlArena *arena, const void *from, size_t count, size_t width, bool fill)
{
	void *to;

	if (from == NULL)
		return NULL;
	to = sl_alloc(arena, count, width);
	if (fill && to != NULL)
		memcpy(to, from, count * width);
	return to;
}

/* A new array of SlTrainSet has to be named here. */
SlTrainSet
sl_share_set(SlArena *arena, const SlTrainSet *from, const SlNetSpec *spec,
			 const int32_t **code, bool fill)
{
	SlTrainSet set = *from;
	size_t rows = from->rows;

	set.start = share_array(arena, from->start, (size_t) from->sequences + 1,
							sizeof(*set.start), fill);
	set.x = share_array(arena, from->x, rows * from->inputs, sizeof(*set.x), fill);
	for (int e = 0; e < spec->embeddings;
		 e++) /* a member only asks whether there is one */
		code[e] = share_array(arena, fill ? from->code[e] : (const void *) code, rows,
							  sizeof(int32_t), fill);
	set.code = code;
	set.y = share_array(arena, from->y, rows, sizeof(*set.y), fill);
	set.item = share_array(arena, from->item, rows, sizeof(*set.item), fill);
	set.item_count =
		share_array(arena, from->item_count, spec->items, sizeof(*set.item_count), fill);
	set.future = share_array(arena, from->future, rows, sizeof(*set.future), fill);
	set.train_weight =
		share_array(arena, from->train_weight, rows, sizeof(*set.train_weight), fill);
	set.validation_weight = share_array(arena, from->validation_weight, rows,
										sizeof(*set.validation_weight), fill);
	set.censored = share_array(arena, from->censored, rows, sizeof(*set.censored), fill);
	set.time_order =
		share_array(arena, from->time_order, rows, sizeof(*set.time_order), fill);
	return set;
}

/* ---- the leader ---- */

bool
sl_step_share(SlStep *step, const SlTrainState *state, SlArena *own)
{
	SlArena *arena = &step->team->shared;
	bool fill = arena->base != NULL;
	Segment *segment = sl_alloc(arena, 1, sizeof(Segment));
	View *view = sl_alloc(own, 1, sizeof(View));
	const int32_t *code[SL_MAX_EMBEDDINGS];
	size_t total = step->net->params.total;
	SlTrainSet set = sl_share_set(arena, step->set, &step->net->spec, code, fill);

	if (fill && arena->used != SIZE_MAX && view != NULL)
	{
		segment->net = *step->net;
		segment->plan = *step->plan;
		segment->set = *step->set;
		snprintf(segment->arch, sizeof(segment->arch), "%s", step->net->spec.arch->name);
		sl_share_arithmetic(segment->arithmetic);
		view->set = set;
		memcpy(view->code, code, sizeof(code));
		view->set.code = view->code;
		step->set = &view->set;
	}
	if (!sl_step_lay_out(step, arena, own))
		return false;
	if (fill && arena->used != SIZE_MAX)
	{
		memcpy(step->value, state->value, sizeof(float) * total);
		memcpy(step->moments, state->moments,
			   sizeof(float) * total * sl_optim_moments(step->plan->optimizer));
		sl_step_start(step);
	}
	return true;
}

void
sl_step_collect(const SlStep *step, SlTrainState *state)
{
	size_t total = step->net->params.total;

	memcpy(state->value, step->value, sizeof(float) * total);
	memcpy(state->moments, step->moments,
		   sizeof(float) * total * sl_optim_moments(step->plan->optimizer));
}

/* ---- members ---- */

static bool
join(SlStep *step, View *view, void *shared, size_t size, SlArena *own)
{
	SlArena arena = {shared, size, 0};
	const Segment *segment = sl_alloc(&arena, 1, sizeof(Segment));
	char arithmetic[SL_ARITHMETIC_MAX];

	if (segment == NULL)
		return false;
	view->net = segment->net;
	view->plan = segment->plan;
	view->net.spec.arch = sl_arch_find(segment->arch);
	view->set = sl_share_set(&arena, &segment->set, &view->net.spec, view->code, false);
	step->net = &view->net;
	step->plan = &view->plan;
	step->set = &view->set;
	sl_share_arithmetic(arithmetic);
	return view->net.spec.arch != NULL && strcmp(arithmetic, segment->arithmetic) == 0 &&
		   sl_step_lay_out(step, &arena, own);
}

size_t
sl_step_join_memory(const SlStep *step, void *shared, size_t size)
{
	SlArena own = {NULL, SIZE_MAX, 0};
	SlStep counted = *step;
	View view;

	(void) sl_alloc(&own, 1, sizeof(View));
	return join(&counted, &view, shared, size, &own) ? own.used : SIZE_MAX;
}

bool
sl_step_join(SlStep *step, void *shared, size_t size, SlArena *own)
{
	View *view = sl_alloc(own, 1, sizeof(View));

	return view != NULL && join(step, view, shared, size, own);
}
