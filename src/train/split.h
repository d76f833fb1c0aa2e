/*
 * split.h: which rows train, validate and test.  The same code serves train(),
 * evaluate() and split_part().
 */
#ifndef SL_SPLIT_H
#define SL_SPLIT_H

#include <stdint.h>

typedef enum SlPart
{
	SL_TRAIN,
	SL_VALIDATION,
	SL_TEST
} SlPart;

typedef enum SlSplitBy
{
	SL_SPLIT_USER_TAIL, /* held-out users: early rows train, later rows are held out */
	SL_SPLIT_USER,		/* held-out users are held out whole */
	SL_SPLIT_TIME,		/* the last rows in time, of all users */
	SL_SPLIT_COLUMN		/* a text column says train, validation or test */
} SlSplitBy;

typedef struct SlSplit
{
	SlSplitBy by;
	double validation; /* fraction */
	double test;
	double tail; /* fraction of a held-out user's rows that are held out */
	uint64_t seed;
	char *column;		   /* by column */
	char *validation_from; /* by time: first held-out value of order_by, as text */
	char *test_from;
} SlSplit;

extern const char *sl_part_name(SlPart part);
extern const char *sl_split_name(int by);

/* The part of a partition key: uniform in its hash, whatever the other keys are. */
extern SlPart sl_split_key(const char *key, int length, double validation, double test,
						   uint64_t seed);

/* The part of row i of n (in order) of a sequence whose key falls in key_part. */
extern SlPart sl_split_row(const SlSplit *split, SlPart key_part, int64_t i, int64_t n);

#endif
