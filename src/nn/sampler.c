/*
 * sampler.c: alias tables; see sampler.h.
 *
 * Vose's way of filling the table (1991): classes of less than average probability are
 * paired with one of more, which gives away what the other lacks.  The two stacks that
 * takes are kept in the alias array, linked lists of classes that have no alias yet.
 */
#include "nn/sampler.h"

#include <math.h>

#include "nn/random.h"

#define DRAW_STREAM 0x6e656761 /* apart from all other uses of a key */

void
sl_sampler_lay_out(SlSampler *sampler, int items, SlArena *arena)
{
	sampler->items = items;
	sampler->keep = sl_alloc(arena, items, sizeof(float));
	sampler->alias = sl_alloc(arena, items, sizeof(int32_t));
	sampler->log_q = sl_alloc(arena, items, sizeof(float));
}

static double
mass(const int64_t *count, int item, double power)
{
	return count == NULL ? 1 : pow(count[item] > 1 ? (double) count[item] : 1, power);
}

/* Takes the first of a list that is linked through alias. */
static int
pop(int *list, const int32_t *alias)
{
	int first = *list;

	*list = alias[first];
	return first;
}

static void
push(int *list, int item, int32_t *alias)
{
	alias[item] = *list;
	*list = item;
}

void
sl_sampler_start(SlSampler *sampler, const int64_t *count, double power)
{
	int items = sampler->items, small = -1, large = -1;
	float *keep = sampler->keep;
	int32_t *alias = sampler->alias;
	double sum = 0;

	for (int i = 0; i < items; i++)
		sum += mass(count, i, power);
	for (int i = items - 1; i >= 0; i--)
	{
		double q = mass(count, i, power) / sum;

		sampler->log_q[i] = (float) log(q);
		keep[i] = (float) (q * items);
		push(keep[i] < 1 ? &small : &large, i, alias);
	}
	while (small >= 0 && large >= 0)
	{
		int poor = pop(&small, alias), rich = pop(&large, alias);

		alias[poor] = rich;
		keep[rich] -= 1 - keep[poor];
		push(keep[rich] < 1 ? &small : &large, rich, alias);
	}
	/* what is left is 1 but for rounding */
	while (small >= 0 || large >= 0)
	{
		int item = pop(small >= 0 ? &small : &large, alias);

		keep[item] = 1;
		alias[item] = item;
	}
}

/* The product's high half is a uniform class, its low half a fraction within the class.
 */
void
sl_sampler_draw(const SlSampler *sampler, uint64_t key, int n, int32_t *out)
{
	for (int j = 0; j < n; j++)
	{
		uint64_t bits = sl_random_bits(key, DRAW_STREAM, (uint64_t) j);
		unsigned __int128 product = (unsigned __int128) bits * (unsigned) sampler->items;
		int item = (int) (product >> 64);
		float fraction = (float) ((uint64_t) product >> 40) * 0x1p-24f;

		out[j] = fraction < sampler->keep[item] ? item : sampler->alias[item];
	}
}
