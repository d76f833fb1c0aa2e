/*
 * hostile.h: bytes from anywhere, given to all of the core that reads what others may
 * have written, and what must hold whatever they are.
 *
 * The first byte chooses the reader.  Used by test_hostile.c, which makes its own bytes,
 * and by fuzz.c, which gets them from libFuzzer.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/step.h"
#include "metric/metric.h"
#include "model/model.h"
#include "report/plots.h"
#include "session/session.h"
#include "train/target.h"

typedef enum Verdict
{
	REFUSED,
	ACCEPTED
} Verdict;

/* What did not hold, for the caller to report; NULL: nothing. */
static const char *hostile_wrong;

#define MUST(condition)                   \
	do                                    \
	{                                     \
		if (!(condition))                 \
			hostile_wrong = (#condition); \
	} while (0)

/* Bytes taken off the front, as numbers; zeros past the end. */
typedef struct Bytes
{
	const uint8_t *at;
	size_t left;
} Bytes;

static uint64_t
take(Bytes *b, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width && b->left > 0; i++, b->left--)
		value |= (uint64_t) *b->at++ << (8 * i);
	return value;
}

static double
take_double(Bytes *b)
{
	uint64_t bits = take(b, 8);
	double value;

	memcpy(&value, &bits, 8);
	return value;
}

static double
take_finite(Bytes *b)
{
	double value = take_double(b);

	return isfinite(value) ? value : 0;
}

/* ---- sessions() ---- */

/* Sessions of a sorted log cover it, in order, and their numbers fit together. */
static void
walk_sessions(const SlRun *run, size_t count, int64_t gap)
{
	SlTracker tracker;
	SlSession s;
	size_t at = 0;
	int64_t number = 0, events = 0;
	uint64_t earlier = 0, previous = 0;

	sl_tracker_init(&tracker, gap);
	while (sl_session_next(&tracker, run, count, &at, &s))
	{
		MUST(s.number == ++number);
		MUST(s.end >= s.start && s.end < SL_TS_END && s.start >= SL_TS_MIN);
		MUST(s.length == (uint64_t) s.end - (uint64_t) s.start);
		MUST(s.previous == previous && s.earlier == earlier);
		MUST(number == 1 ? s.absence == 0 : s.absence > (uint64_t) gap);
		MUST(isfinite(sl_seconds(s.length)));
		MUST(isfinite(sl_mean_seconds(s.earlier, number - 1)));
		previous = s.length;
		earlier += s.length;
		events += s.events;
	}
	for (size_t i = 0; i < count; i++)
		events -= run[i].events;
	MUST(events == 0);
}

static Verdict
hostile_sessions(const uint8_t *bytes, size_t size)
{
	int64_t gap;
	size_t count;
	SlRun *run;
	uint8_t *again;
	bool read;

	if (sl_wire_check(bytes, size, &gap, &count) != SL_WIRE_OK)
		return REFUSED;
	MUST(sl_wire_size(count) == size && gap >= 0);
	run = malloc((count + 1) * 3 * sizeof(SlRun));
	read = sl_wire_read(bytes, gap, run, count) == SL_WIRE_OK;
	if (read)
	{
		again = malloc(size);
		sl_wire_write(again, gap, run, count);
		MUST(memcmp(bytes, again, size) == 0);
		free(again);
		walk_sessions(run, count, gap);
		MUST(sl_runs_merge(run, count, run, count, gap, run + count) == count);
	}
	free(run);
	return read ? ACCEPTED : REFUSED;
}

static Verdict
hostile_event(const uint8_t *bytes, size_t size)
{
	Bytes b = {bytes, size};
	int64_t ts = (int64_t) take(&b, 8);
	SlEvent event;

	if (sl_event_check(ts, take_double(&b), &event) != SL_EVENT_OK)
		return REFUSED;
	MUST(event.ts == ts && ts >= SL_TS_MIN && event.duration >= 0);
	MUST((uint64_t) SL_TS_END - (uint64_t) ts > (uint64_t) event.duration);
	walk_sessions(&(SlRun){ts, ts, event.duration, 1}, 1, 0);
	return ACCEPTED;
}

/* ---- metrics ---- */

static int
by_magnitude(const void *a, const void *b)
{
	double x = fabs(*(const double *) a), y = fabs(*(const double *) b);

	return x < y ? -1 : x > y;
}

static int
by_position(const void *a, const void *b)
{
	int64_t x = ((const SlPosition *) a)->position;
	int64_t y = ((const SlPosition *) b)->position;

	return x < y ? -1 : x > y;
}

static void
rate_values(SlValueKind kind, void *words, size_t n)
{
	double result = 0;
	int64_t duplicate;

	qsort(words, n, 8 * sl_values_words(kind),
		  kind == SL_VALUES_POSITION ? by_position : by_magnitude);
	if (n == 0)
		return;
	if (kind == SL_VALUES_ERROR)
	{
		result = sl_median(words, n);
		MUST(isfinite(result) && result >= 0);
	}
	else if (kind == SL_VALUES_SCORE ? sl_auc(words, n, &result)
									 : sl_average_accuracy(words, n, &result, &duplicate))
		MUST(result >= 0 && result <= 1);
}

static Verdict
hostile_values(const uint8_t *bytes, size_t size)
{
	SlValueKind kind;
	size_t n;
	uint64_t *words;
	uint8_t *again;
	bool read;

	if (sl_values_parse(bytes, size, &kind, &n) != NULL)
		return REFUSED;
	MUST(sl_values_serial_size(kind, n) == size);
	words = malloc((n + 1) * 8 * sl_values_words(kind));
	read = sl_values_decode(bytes, kind, n, words) == NULL;
	if (read)
	{
		again = malloc(size);
		sl_values_encode(kind, n, words, again);
		MUST(memcmp(bytes, again, size) == 0);
		free(again);
		rate_values(kind, words, n);
	}
	free(words);
	return read ? ACCEPTED : REFUSED;
}

/* ---- kmeans_step() ---- */

static bool
read_step(const uint8_t *bytes, size_t size, SlStep *step, void **memory)
{
	int k, columns;

	if (sl_step_check(bytes, size, &k, &columns) != NULL)
		return false;
	MUST(k > 0 && columns > 0 && sl_step_wire_size(k, columns) == size);
	*memory = malloc(sl_step_bytes(k, columns));
	sl_step_init(step, k, columns, *memory);
	if (sl_step_read(step, bytes) == NULL)
		return true;
	free(*memory);
	return false;
}

/* Twice the same state merged, and a point added: whatever it counts stays a count. */
static Verdict
hostile_step(const uint8_t *bytes, size_t size)
{
	SlStep a, b;
	void *memory_a, *memory_b;
	uint8_t *again;
	double *point;

	if (!read_step(bytes, size, &a, &memory_a))
		return REFUSED;
	again = malloc(size);
	sl_step_write(&a, again);
	MUST(memcmp(bytes, again, size) == 0);
	free(again);
	if (read_step(bytes, size, &b, &memory_b))
	{
		point = calloc(a.columns, sizeof(double));
		MUST(sl_step_same(&a, &b));
		sl_step_merge(&a, &b);
		sl_step_add(&a, point);
		for (int c = 0; c < a.k; c++)
			MUST(a.count[c] >= b.count[c]);
		free(point);
		free(memory_b);
	}
	free(memory_a);
	return ACCEPTED;
}

/* ---- text and drawings ---- */

static void
count_markup(void *context, const char *bytes, size_t count)
{
	size_t *written = context;

	*written += count;
	for (size_t i = 0; i < count; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		MUST((c >= ' ' && c < 0x7F) || c == '\t' || c == '\n');
		MUST(strchr("<>\"'", c) == NULL);
	}
}

static Verdict
hostile_text(const uint8_t *bytes, size_t size)
{
	char *text = malloc(size + 1);
	size_t written = 0;
	SlMarkup out = {count_markup, &written};

	memcpy(text, bytes, size);
	text[size] = '\0';
	sl_put_text(&out, text);
	MUST(written >= strlen(text) / 4);
	written = 0;
	sl_put_short(&out, text, 7);
	MUST(written <= 7 * 12);
	(void) sl_unit_of(text);
	free(text);
	return ACCEPTED;
}

static Verdict
hostile_scale(const uint8_t *bytes, size_t size)
{
	Bytes b = {bytes, size};
	uint64_t how = take(&b, 1);
	double low = take_finite(&b), high = take_finite(&b);
	SlScale scale;
	SlTicks ticks;
	char label[64];

	sl_scale_fit(&scale, &ticks, how & 1 ? SL_SECONDS : SL_PLAIN, how & 2,
				 how & 2 ? fabs(low) : low, how & 2 ? fabs(high) : high,
				 3 + (int) (how >> 5));
	MUST(scale.low < scale.high && isfinite(scale.low) && isfinite(scale.high));
	MUST(ticks.count >= 0 && ticks.count <= SL_MAX_TICKS);
	for (int i = 0; i < ticks.count; i++)
	{
		MUST(isfinite(ticks.at[i]) && (i == 0 || ticks.at[i] > ticks.at[i - 1]));
		sl_tick_label(&scale, ticks.step, ticks.at[i], label, sizeof(label));
		MUST(strlen(label) < sizeof(label) && strstr(label, "nan") == NULL);
	}
	low = sl_scale_position(&scale, take_finite(&b));
	MUST(low >= 0 && low <= 1);
	sl_number_label(take_double(&b), label, sizeof(label));
	sl_duration_label(take_finite(&b), label, sizeof(label));
	return ACCEPTED;
}

static void
no_nan(void *context, const char *bytes, size_t count)
{
	char *text = malloc(count + 1);

	memcpy(text, bytes, count);
	text[count] = '\0';
	MUST(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
	*(size_t *) context += count;
	free(text);
}

#define MOST_OUTCOMES 64

static Verdict
hostile_plot(const uint8_t *bytes, size_t size)
{
	Bytes b = {bytes, size};
	SlOutcome row[MOST_OUTCOMES];
	size_t drawn[MOST_OUTCOMES], rows = 0, written = 0;
	double scratch[MOST_OUTCOMES];
	SlMarkup out = {no_nan, &written};
	SlUnit unit = take(&b, 1) & 1 ? SL_SECONDS : SL_PLAIN;
	SlSummary summary;
	SlScore score;

	for (; b.left > 0 && rows < MOST_OUTCOMES; rows++)
	{
		row[rows].cluster = (int) (take(&b, 1) % 3) - 1;
		row[rows].actual = take_finite(&b);
		for (int i = 0; i < SL_PREDICTORS; i++)
			row[rows].by[i] = i < 2	   ? take_finite(&b)
							  : i == 2 ? NAN
									   : row[rows].by[i - 1];
		drawn[rows] = rows;
	}
	if (rows == 0)
		return REFUSED;
	sl_summarize(row, rows, unit, scratch, &summary);
	sl_score_rows(row, rows, SL_ALL_CLUSTERS, SL_BY_MODEL, scratch, &score);
	MUST(score.rows <= rows && !(score.mae < 0));
	sl_plot_predicted(&out, "p",
					  &(SlPredicted){.model = "m",
									 .version = 1,
									 .target = "t",
									 .unit = unit,
									 .part = "test",
									 .row = row,
									 .summary = &summary,
									 .drawn = drawn,
									 .drawn_rows = rows},
					  SL_PANEL_BOTH);
	MUST(written > 0);
	return ACCEPTED;
}

/* ---- networks from stored sizes ---- */

static Verdict
hostile_network(const uint8_t *bytes, size_t size)
{
	Bytes b = {bytes, size};
	SlNet *net = malloc(sizeof(SlNet));
	SlNetSpec spec = {.arch = sl_arch_find(take(&b, 1) & 1 ? "lstm" : "gru")};
	uint32_t bits;
	Verdict verdict = REFUSED;

	spec.inputs = (int) take(&b, 4);
	spec.layers = (int) take(&b, 4);
	spec.outputs = (int) take(&b, 4);
	spec.embeddings = (int) take(&b, 4);
	bits = (uint32_t) take(&b, 4);
	memcpy(&spec.dropout, &bits, 4);
	for (int i = 0; i < SL_MAX_LAYERS; i++)
		spec.hidden[i] = (int) take(&b, 4);
	for (int i = 0; i < SL_MAX_EMBEDDINGS; i++)
	{
		spec.vocabulary[i] = (int) take(&b, 4);
		spec.embedding_dim[i] = (int) take(&b, 4);
		memset(spec.embedding_name[i], 'a' + i % 26, take(&b, 1) % (SL_NAME_MAX + 1));
	}
	if (sl_net_define(net, &spec) == SL_OK)
	{
		size_t end = 0;

		verdict = ACCEPTED;
		for (int i = 0; i < net->params.count; i++)
		{
			const SlParam *p = &net->params.item[i];

			MUST(p->rows > 0 && p->cols >= 0 && p->offset >= end);
			end = p->offset + (size_t) p->rows * (p->cols > 0 ? p->cols : 1);
			MUST(end <= net->params.total);
		}
		MUST(net->params.count > 0 && net->state > 0);
	}
	free(net);
	return verdict;
}

/* ---- all of them ---- */

static const struct Hostile
{
	const char *name;
	Verdict (*read)(const uint8_t *bytes, size_t size);
} hostile[] = {
	{"states of sessions()", hostile_sessions}, {"states of metrics", hostile_values},
	{"states of kmeans_step()", hostile_step},	{"times and durations", hostile_event},
	{"sizes of networks", hostile_network},		{"texts in pages", hostile_text},
	{"scales of axes", hostile_scale},			{"plots of predictions", hostile_plot},
};

#define HOSTILES (sizeof(hostile) / sizeof(hostile[0]))

/* Reads a copy that ends where its memory does and, as a short value of a row does,
 * starts at an odd address. */
static Verdict
hostile_read(size_t which, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	Verdict verdict;

	hostile_wrong = NULL;
	memcpy(copy + 1, bytes, size);
	verdict = hostile[which].read(copy + 1, size);
	free(copy);
	return verdict;
}

#endif
