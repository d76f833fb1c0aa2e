/*
 * scale.c: linear and logarithmic scales.
 *
 * Linear ticks are the multiples of the smallest round step that needs no more of them
 * than wanted.  Logarithmic ticks come from a list of round values, thinned out or
 * filled up by what the range needs.
 */
#include "report/scale.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LARGEST 1e300 /* differences of such values are still finite */
#define SMALLEST (1 / LARGEST)
#define MINUTE 60.0
#define HOUR 3600.0
#define DAY 86400.0

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

SlUnit
sl_unit_of(const char *column)
{
	bool seconds = strstr(column, "session_length") != NULL ||
				   ends_with(column, "seconds") || ends_with(column, "duration") ||
				   strcmp(column, "absence") == 0;

	return seconds ? SL_SECONDS : SL_PLAIN;
}

static double
round_step(double least)
{
	double decade = pow(10, floor(log10(least)));

	if (!(decade > 0)) /* smaller than any double that can be counted in */
		return least;
	return (least <= decade		  ? 1
			: least <= 2 * decade ? 2
			: least <= 5 * decade ? 5
								  : 10) *
		   decade;
}

static double
linear_step(SlUnit unit, double least)
{
	static const double times[] = {
		1,		2,			5,			10,			 15,		  30,
		MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
		HOUR,	2 * HOUR,	3 * HOUR,	6 * HOUR,	 12 * HOUR,	  DAY};

	if (unit == SL_SECONDS && least > DAY)
		return round_step(least / DAY) * DAY;
	if (unit == SL_SECONDS && least > 0.5)
		for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
			if (least <= times[i])
				return times[i];
	return round_step(least);
}

static void
fit_linear(SlScale *scale, SlTicks *ticks, int wanted)
{
	double least = (scale->high - scale->low) / wanted;
	/* 2,070 s, 2,100 s, ... are not round any more: such axes count in tens */
	bool far = fmax(fabs(scale->low), fabs(scale->high)) > 10 * MINUTE && least <= 30;
	double step = linear_step(far ? SL_PLAIN : scale->unit, least);
	double first = floor(scale->low / step + 1e-9);
	double last = ceil(scale->high / step - 1e-9);

	ticks->step = step;
	ticks->count = 0;
	scale->low = first * step;
	scale->high = last * step;
	for (double i = first; i <= last && ticks->count < SL_MAX_TICKS; i++)
		ticks->at[ticks->count++] = i * step + 0.0; /* no -0 */
}

static void
add_tick(const SlScale *scale, SlTicks *ticks, double value)
{
	if (ticks->count < SL_MAX_TICKS && value >= scale->low * (1 - 1e-9) &&
		value <= scale->high * (1 + 1e-9))
		ticks->at[ticks->count++] = value;
}

static void
log_ticks_time(const SlScale *scale, SlTicks *ticks)
{
	static const double coarse[] = {0.001,	   0.01,		0.1,	  1,		 10,
									MINUTE,	   10 * MINUTE, HOUR,	  10 * HOUR, 10 * DAY,
									100 * DAY, 1000 * DAY,	1e4 * DAY};
	static const double fine[] = {
		0.001,	   0.01,   0.1,		   0.3,			1,			 3,			10,
		30,		   MINUTE, 3 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR,		3 * HOUR,
		10 * HOUR, DAY,	   3 * DAY,	   10 * DAY,	30 * DAY,	 100 * DAY, 1000 * DAY};

	for (size_t i = 0; i < sizeof(coarse) / sizeof(coarse[0]); i++)
		add_tick(scale, ticks, coarse[i]);
	if (ticks->count >= 4)
		return;
	ticks->count = 0;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		add_tick(scale, ticks, fine[i]);
}

static void
log_ticks_plain(const SlScale *scale, SlTicks *ticks, int wanted)
{
	int first = (int) floor(log10(scale->low));
	int last = (int) ceil(log10(scale->high));
	int every = 1 + (last - first) / (wanted + 1);

	for (int decade = first; decade <= last; decade++)
	{
		double one = pow(10, decade);

		if (last - first <= 3)
		{
			add_tick(scale, ticks, one);
			add_tick(scale, ticks, 2 * one);
			add_tick(scale, ticks, 5 * one);
		}
		else if ((decade - first) % every == 0)
			add_tick(scale, ticks, one);
	}
}

static void
fit_logarithmic(SlScale *scale, SlTicks *ticks, int wanted)
{
	ticks->step = 0;
	ticks->count = 0;
	if (scale->unit == SL_SECONDS && scale->low >= 0.001 && scale->high < 1e4 * DAY)
		log_ticks_time(scale, ticks);
	else
		log_ticks_plain(scale, ticks, wanted);
}

/* What can be divided into ticks: neither too large nor next to nothing. */
static double
clamp(double value)
{
	return fabs(value) < SMALLEST ? 0 : fmax(-LARGEST, fmin(value, LARGEST));
}

void
sl_scale_fit(SlScale *scale, SlTicks *ticks, SlUnit unit, bool logarithmic, double low,
			 double high, int wanted)
{
	low = clamp(low);
	high = clamp(high);
	if (logarithmic)
	{
		low = fmax(low, SMALLEST);
		if (high < low * 1.5)
		{
			low /= 2;
			high = low * 4;
		}
		else
		{
			/* room for marks at the ends */
			double room = pow(fmin(high / low, LARGEST), 0.02);

			low /= room;
			high *= room;
		}
	}
	else if (high - low <= 1e-9 * fmax(fabs(low), fabs(high)) || !(high > low))
	{
		double room = low == 0 ? 1 : 0.1 * fabs(low);

		low -= room;
		high = low + 2 * room;
	}
	*scale =
		(SlScale){.unit = unit, .logarithmic = logarithmic, .low = low, .high = high};
	if (logarithmic)
		fit_logarithmic(scale, ticks, wanted);
	else
		fit_linear(scale, ticks, wanted);
}

double
sl_scale_position(const SlScale *scale, double value)
{
	double place;

	value = fmax(scale->low, fmin(value, scale->high));
	if (scale->logarithmic)
		place = log(value / scale->low) / log(scale->high / scale->low);
	else
		place = (value - scale->low) / (scale->high - scale->low);
	return fmax(0, fmin(place, 1));
}

/* ---- labels ---- */

void
sl_group_digits(const char *digits, char *out, size_t size)
{
	size_t sign = digits[0] == '-';
	size_t whole = strcspn(digits + sign, ".");
	size_t used = 0;

	for (size_t i = 0; digits[i] && used + 2 < size; i++)
	{
		if (i > sign && i - sign < whole && (whole - (i - sign)) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
}

static void
plain_label(double step, double value, char *label, size_t size)
{
	char digits[64];
	double small = step > 0 ? step : fabs(value);
	int decimals = small > 0 && small < 1 ? (int) ceil(-log10(small) - 1e-9) : 0;

	if (value != 0 && (fabs(value) >= 1e7 || decimals > 5))
		snprintf(label, size, "%.6g", value);
	else
	{
		snprintf(digits, sizeof(digits), "%.*f", decimals > 5 ? 0 : decimals, value);
		sl_group_digits(digits, label, size);
	}
}

void
sl_duration_label(double seconds, char *label, size_t size)
{
	static const struct
	{
		double size;
		const char *name;
	} units[] = {{DAY, "d"}, {HOUR, "h"}, {MINUTE, "min"}, {1, "s"}};
	char digits[64];
	char grouped[64];
	int i = 0;

	while (i < 3 && fabs(seconds) < units[i].size * (i == 0 ? 2 : 1) * (1 - 1e-9))
		i++;
	if (fabs(seconds) >= 1e15 || (seconds != 0 && fabs(seconds) < 0.1))
		snprintf(label, size, "%.3g s", seconds);
	else
	{
		double value = rint(seconds / units[i].size * 10) / 10;

		snprintf(digits, sizeof(digits), value == rint(value) ? "%.0f" : "%.1f", value);
		sl_group_digits(digits, grouped, sizeof(grouped));
		snprintf(label, size, "%s %s", grouped, units[i].name);
	}
}

/* Multiples of a step are written in the unit of the step, so that they compare. */
static void
time_label(double step, double value, char *label, size_t size)
{
	double unit = step >= DAY ? DAY : step >= HOUR ? HOUR : step >= MINUTE ? MINUTE : 1;
	char digits[64];

	plain_label(step / unit, value / unit, digits, sizeof(digits));
	snprintf(label, size, "%s %s", digits,
			 unit == DAY	  ? "d"
			 : unit == HOUR	  ? "h"
			 : unit == MINUTE ? "min"
							  : "s");
}

void
sl_tick_label(const SlScale *scale, double step, double value, char *label, size_t size)
{
	if (scale->unit == SL_PLAIN)
		plain_label(step, value, label, size);
	else if (value == 0)
		snprintf(label, size, "0");
	else if (step > 0)
		time_label(step, value, label, size);
	else
		sl_duration_label(value, label, size);
}
