#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/formatting.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "train/value.h"

static SlValueKind
kind_of_type(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return SL_VALUE_INT2;
		case INT4OID:
			return SL_VALUE_INT4;
		case INT8OID:
			return SL_VALUE_INT8;
		case FLOAT4OID:
			return SL_VALUE_FLOAT4;
		case FLOAT8OID:
			return SL_VALUE_FLOAT8;
		case NUMERICOID:
			return SL_VALUE_NUMERIC;
		case BOOLOID:
			return SL_VALUE_BOOL;
		case DATEOID:
			return SL_VALUE_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return SL_VALUE_TIMESTAMP;
		case TIMEOID:
			return SL_VALUE_TIME;
		case INTERVALOID:
			return SL_VALUE_INTERVAL;
		default:
			return SL_VALUE_TEXT;
	}
}

void
sl_value_reader(SlValueReader *reader, Oid type)
{
	Oid out;
	bool is_varlena;

	reader->type = type;
	reader->kind = kind_of_type(getBaseType(type));
	getTypeOutputInfo(type, &out, &is_varlena);
	fmgr_info(out, &reader->out);
}

int
sl_value_column(TupleDesc desc, const char *name, SlValueReader *reader)
{
	for (int a = 0; a < desc->natts; a++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, a);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
		{
			sl_value_reader(reader, attribute->atttypid);
			return a + 1;
		}
	}
	return 0;
}

bool
sl_value_is_number(const SlValueReader *reader)
{
	return reader->kind != SL_VALUE_TEXT;
}

double
sl_value_number(const SlValueReader *reader, Datum value, const char *column)
{
	double number = 0;

	switch (reader->kind)
	{
		case SL_VALUE_INT2:
			return DatumGetInt16(value);
		case SL_VALUE_INT4:
			return DatumGetInt32(value);
		case SL_VALUE_INT8:
			return (double) DatumGetInt64(value);
		case SL_VALUE_FLOAT4:
			number = DatumGetFloat4(value);
			break;
		case SL_VALUE_FLOAT8:
			number = DatumGetFloat8(value);
			break;
		case SL_VALUE_NUMERIC:
			number =
				DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
			break;
		case SL_VALUE_BOOL:
			return DatumGetBool(value) ? 1 : 0;
		case SL_VALUE_DATE:
			number = DATE_NOT_FINITE(DatumGetDateADT(value))
						 ? INFINITY
						 : (double) DatumGetDateADT(value) * SECS_PER_DAY;
			break;
		case SL_VALUE_TIMESTAMP:
			number = TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value))
						 ? INFINITY
						 : (double) DatumGetTimestamp(value) / USECS_PER_SEC;
			break;
		case SL_VALUE_TIME:
			return (double) DatumGetTimeADT(value) / USECS_PER_SEC;
		case SL_VALUE_INTERVAL:
		{
			const Interval *span = DatumGetIntervalP(value);

			number = (double) span->time / USECS_PER_SEC +
					 ((double) span->month * DAYS_PER_MONTH + span->day) * SECS_PER_DAY;
			break;
		}
		case SL_VALUE_TEXT:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" must be of a numeric, boolean or time type",
							column),
					 errdetail("It is of type %s.", format_type_be(reader->type))));
	}
	if (!isfinite(number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" holds NaN or infinity", column),
				 errhint("Filter such rows out in the source, or turn them into NULL.")));
	return number;
}

double
sl_value_class(const SlValueReader *reader, Datum value, const char *column)
{
	static const char hint[] = "Give a boolean, 0 or 1, or NULL where it is unknown.";
	double number;

	if (!sl_value_is_number(reader))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" must be of a boolean or numeric type", column),
				 errdetail("It is of type %s.", format_type_be(reader->type)),
				 errhint("%s", hint)));
	number = sl_value_number(reader, value, column);
	if (number != 0 && number != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" holds %.15g, which is neither 0 nor 1",
							   column, number),
						errhint("%s", hint)));
	return number;
}

char *
sl_value_text(SlValueReader *reader, Datum value, bool fold)
{
	char *text = OutputFunctionCall(&reader->out, value);
	char *begin = text;
	char *end;

	if (!fold)
		return text;
	while (isspace((unsigned char) *begin))
		begin++;
	end = begin + strlen(begin);
	while (end > begin && isspace((unsigned char) end[-1]))
		end--;
	return str_tolower(begin, end - begin, DEFAULT_COLLATION_OID);
}

char *
sl_value_label(SlValueReader *reader, Datum value, bool fold)
{
	char label[Max(MAXDATELEN, DOUBLE_SHORTEST_DECIMAL_LEN) + 1];

	switch (reader->kind)
	{
		case SL_VALUE_FLOAT4:
			float_to_shortest_decimal_buf(DatumGetFloat4(value), label);
			break;
		case SL_VALUE_FLOAT8:
			double_to_shortest_decimal_buf(DatumGetFloat8(value), label);
			break;
		case SL_VALUE_NUMERIC:
			return numeric_normalize(DatumGetNumeric(value));
		case SL_VALUE_DATE:
			JsonEncodeDateTime(label, value, DATEOID, NULL);
			break;
		case SL_VALUE_TIMESTAMP: /* with a time zone: in UTC */
			JsonEncodeDateTime(label, value, TIMESTAMPOID, NULL);
			break;
		case SL_VALUE_INTERVAL:
			double_to_shortest_decimal_buf(sl_value_number(reader, value, "interval"),
										   label);
			break;
		default:
			return sl_value_text(reader, value, fold);
	}
	return pstrdup(label);
}
