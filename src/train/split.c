#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "train/split.h"

PG_FUNCTION_INFO_V1(sl_split_part);

static const char *const part_names[] = {"train", "validation", "test"};
static const char *const split_names[] = {"user_tail", "user", "time", "column", NULL};

const char *
sl_part_name(SlPart part)
{
	return part_names[part];
}

const char *
sl_split_name(int by)
{
	return split_names[by];
}

SlPart
sl_split_key(const char *key, int length, double validation, double test, uint64_t seed)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) key, length, seed);
	double u = (double) (hash >> 11) / 9007199254740992.0;

	if (u < test)
		return SL_TEST;
	return u < test + validation ? SL_VALIDATION : SL_TRAIN;
}

SlPart
sl_split_row(const SlSplit *split, SlPart key_part, int64_t i, int64_t n)
{
	if (split->by == SL_SPLIT_USER_TAIL && (double) i < (double) n * (1.0 - split->tail))
		return SL_TRAIN;
	return key_part;
}

/* split_part(key, validation, test, seed): train, validation or test. */
Datum
sl_split_part(PG_FUNCTION_ARGS)
{
	text *key = PG_GETARG_TEXT_PP(0);
	double validation = PG_GETARG_FLOAT8(1);
	double test = PG_GETARG_FLOAT8(2);
	SlPart part;

	if (!(validation >= 0 && test >= 0 && validation + test <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation and test must be fractions that add up to at most 1"),
				 errdetail("They are %g and %g.", validation, test)));
	part = sl_split_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), validation, test,
						(uint64_t) PG_GETARG_INT64(3));
	PG_RETURN_TEXT_P(cstring_to_text(sl_part_name(part)));
}
