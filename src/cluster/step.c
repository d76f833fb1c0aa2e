/*
 * step.c: sums and counts by nearest centroid, and how they travel.
 *
 *	bytes	what
 *	3		"SLK"
 *	1		version, 1
 *	4		k
 *	4		columns
 *	8		inertia
 *	8 each	centroids, sums (row by row), counts
 *
 * Numbers are little-endian.  Reading believes nothing: lengths must fit, doubles be
 * numbers, counts not negative.
 */
#include "cluster/step.h"

#include <math.h>
#include <string.h>

#include "cluster/kmeans.h"

#define WIRE_VERSION 1
#define WIRE_HEADER 20

static const uint8_t wire_magic[3] = {'S', 'L', 'K'};

/* Numbers of 8 bytes that centroids, sums and counts take; 0 if too many. */
static size_t
numbers(int k, int columns)
{
	size_t cells, total;

	if (k < 1 || columns < 1 ||
		__builtin_mul_overflow((size_t) k, (size_t) columns, &cells) ||
		__builtin_mul_overflow(cells, (size_t) 2, &total) ||
		__builtin_add_overflow(total, (size_t) k, &total) || total > SIZE_MAX / 16)
		return 0;
	return total;
}

size_t
sl_step_bytes(int k, int columns)
{
	return numbers(k, columns) * 8;
}

void
sl_step_init(SlStep *step, int k, int columns, void *memory)
{
	size_t cells = (size_t) k * columns;

	step->k = k;
	step->columns = columns;
	step->inertia = 0;
	step->centroid = memory;
	step->sum = step->centroid + cells;
	step->count = (int64_t *) (step->sum + cells);
	memset(step->sum, 0, sizeof(double) * cells);
	memset(step->count, 0, sizeof(int64_t) * k);
}

/* States from elsewhere may count anything: the sum stays at the largest count. */
static void
add_count(int64_t *count, int64_t more)
{
	if (__builtin_add_overflow(*count, more, count))
		*count = INT64_MAX;
}

void
sl_step_add(SlStep *step, const double *point)
{
	int d = step->columns;
	int label = sl_nearest_centroid(point, d, step->centroid, step->k);
	const double *centroid = step->centroid + (size_t) label * d;
	double *sum = step->sum + (size_t) label * d;

	for (int j = 0; j < d; j++)
	{
		double off = point[j] - centroid[j];

		sum[j] += point[j];
		step->inertia += off * off;
	}
	add_count(&step->count[label], 1);
}

bool
sl_step_same(const SlStep *a, const SlStep *b)
{
	return a->k == b->k && a->columns == b->columns &&
		   memcmp(a->centroid, b->centroid,
				  sizeof(double) * (size_t) a->k * a->columns) == 0;
}

void
sl_step_merge(SlStep *to, const SlStep *from)
{
	for (size_t i = 0; i < (size_t) to->k * to->columns; i++)
		to->sum[i] += from->sum[i];
	for (int c = 0; c < to->k; c++)
		add_count(&to->count[c], from->count[c]);
	to->inertia += from->inertia;
}

/* ---- serial form ---- */

static uint8_t *
put(uint8_t *bytes, uint64_t value, int length)
{
	for (int i = 0; i < length; i++)
		bytes[i] = (uint8_t) (value >> (8 * i));
	return bytes + length;
}

static uint64_t
get(const uint8_t *bytes, int length)
{
	uint64_t value = 0;

	for (int i = 0; i < length; i++)
		value |= (uint64_t) bytes[i] << (8 * i);
	return value;
}

static uint8_t *
put_double(uint8_t *bytes, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, 8);
	return put(bytes, bits, 8);
}

static double
get_double(const uint8_t *bytes)
{
	uint64_t bits = get(bytes, 8);
	double value;

	memcpy(&value, &bits, 8);
	return value;
}

size_t
sl_step_wire_size(int k, int columns)
{
	size_t n = numbers(k, columns);

	return n == 0 ? 0 : WIRE_HEADER + n * 8;
}

void
sl_step_write(const SlStep *step, uint8_t *bytes)
{
	size_t cells = (size_t) step->k * step->columns;

	memcpy(bytes, wire_magic, sizeof(wire_magic));
	bytes[3] = WIRE_VERSION;
	bytes = put(bytes + 4, (uint64_t) step->k, 4);
	bytes = put(bytes, (uint64_t) step->columns, 4);
	bytes = put_double(bytes, step->inertia);
	for (size_t i = 0; i < cells; i++)
		bytes = put_double(bytes, step->centroid[i]);
	for (size_t i = 0; i < cells; i++)
		bytes = put_double(bytes, step->sum[i]);
	for (int c = 0; c < step->k; c++)
		bytes = put(bytes, (uint64_t) step->count[c], 8);
}

const char *
sl_step_check(const uint8_t *bytes, size_t size, int *k, int *columns)
{
	size_t wanted;

	if (size < sizeof(wire_magic) + 1 ||
		memcmp(bytes, wire_magic, sizeof(wire_magic)) != 0)
		return "These bytes are no such state.";
	if (bytes[3] != WIRE_VERSION)
		return "They were written by another version of sessionlen.";
	if (size < WIRE_HEADER)
		return "Their length does not fit.";
	*k = (int) (int32_t) (uint32_t) get(bytes + 4, 4);
	*columns = (int) (int32_t) (uint32_t) get(bytes + 8, 4);
	wanted = sl_step_wire_size(*k, *columns);
	return wanted == 0 || wanted != size ? "Their length does not fit." : NULL;
}

const char *
sl_step_read(SlStep *step, const uint8_t *bytes)
{
	size_t cells = (size_t) step->k * step->columns;
	bool right = true;

	step->inertia = get_double(bytes + 12);
	right = step->inertia >= 0;
	bytes += WIRE_HEADER;
	for (size_t i = 0; i < cells; i++, bytes += 8)
	{
		step->centroid[i] = get_double(bytes);
		right = right && isfinite(step->centroid[i]);
	}
	for (size_t i = 0; i < cells; i++, bytes += 8)
	{
		step->sum[i] = get_double(bytes);
		right = right && !isnan(step->sum[i]);
	}
	for (int c = 0; c < step->k; c++, bytes += 8)
	{
		step->count[c] = (int64_t) get(bytes, 8);
		right = right && step->count[c] >= 0;
	}
	return right ? NULL : "They hold impossible numbers.";
}
