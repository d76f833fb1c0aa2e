/*
 * scale.h: from values to places on an axis, with ticks at round values.  Plain C11.
 */
#ifndef SL_SCALE_H
#define SL_SCALE_H

#include <stdbool.h>
#include <stddef.h>

#define SL_MAX_TICKS 24

/* Seconds have round values of their own: 30 s, 10 min, 6 h. */
typedef enum SlUnit
{
	SL_PLAIN,
	SL_SECONDS
} SlUnit;

typedef struct SlScale
{
	SlUnit unit;
	bool logarithmic;
	double low;
	double high; /* > low; low > 0 where logarithmic */
} SlScale;

typedef struct SlTicks
{
	int count;
	double step; /* between ticks; 0 where logarithmic */
	double at[SL_MAX_TICKS];
} SlTicks;

/* The unit of a column, by its name: lengths and absences of sessions, and whatever
 * is called seconds or duration, are in seconds. */
extern SlUnit sl_unit_of(const char *column);

/* A scale that shows low to high (any finite values) and its ticks, about as many as
 * wanted.  A linear one is widened to whole steps; a logarithmic one asks for low > 0. */
extern void sl_scale_fit(SlScale *scale, SlTicks *ticks, SlUnit unit, bool logarithmic,
						 double low, double high, int wanted);

/* 0 at low, 1 at high; what lies beyond is moved to the edge. */
extern double sl_scale_position(const SlScale *scale, double value);

/* "20,000", "0.25", "15 min" */
extern void sl_tick_label(const SlScale *scale, double step, double value, char *label,
						  size_t size);

/* "-1234567.8" with commas between thousands. */
extern void sl_group_digits(const char *digits, char *out, size_t size);

/* A length of time in its largest fitting unit, to one decimal: "2.5 h" */
extern void sl_duration_label(double seconds, char *label, size_t size);

#endif
