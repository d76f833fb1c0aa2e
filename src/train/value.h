/*
 * value.h: column values of any SQL type as a number or a text.  The trainer's reader
 * and predict() go through the same code, so that they see the same inputs.
 */
#ifndef SL_VALUE_H
#define SL_VALUE_H

#include "access/tupdesc.h"
#include "fmgr.h"

typedef enum SlValueKind
{
	SL_VALUE_INT2,
	SL_VALUE_INT4,
	SL_VALUE_INT8,
	SL_VALUE_FLOAT4,
	SL_VALUE_FLOAT8,
	SL_VALUE_NUMERIC,
	SL_VALUE_BOOL,
	SL_VALUE_DATE,		/* seconds since 2000-01-01 */
	SL_VALUE_TIMESTAMP, /* likewise */
	SL_VALUE_TIME,		/* seconds since midnight */
	SL_VALUE_INTERVAL,	/* seconds, a month of 30 days */
	SL_VALUE_TEXT		/* anything else, through its output function */
} SlValueKind;

typedef struct SlValueReader
{
	SlValueKind kind;
	Oid type;
	FmgrInfo out; /* output function, for texts */
} SlValueReader;

/* Prepares to read values of a type. */
extern void sl_value_reader(SlValueReader *reader, Oid type);

/* The number (from 1) of the row's column of that name, whose values are then read by
 * reader; 0: there is none. */
extern int sl_value_column(TupleDesc desc, const char *name, SlValueReader *reader);

extern bool sl_value_is_number(const SlValueReader *reader);

/* A number; NaN and infinities are an error that names the column. */
extern double sl_value_number(const SlValueReader *reader, Datum value,
							  const char *column);

/* The label of one of two classes, 0 or 1; anything else is an error. */
extern double sl_value_class(const SlValueReader *reader, Datum value,
							 const char *column);

/* A palloc'd text, as the session shows the value; fold: lower-cased and trimmed. */
extern char *sl_value_text(SlValueReader *reader, Datum value, bool fold);

/*
 * A palloc'd text to store and to look up in other sessions: numbers and times don't
 * depend on their scale, DateStyle, TimeZone, IntervalStyle or extra_float_digits.
 */
extern char *sl_value_label(SlValueReader *reader, Datum value, bool fold);

#endif
