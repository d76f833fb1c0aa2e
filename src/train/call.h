/*
 * call.h: the arguments of train().
 */
#ifndef SL_CALL_H
#define SL_CALL_H

#include "fmgr.h"

#include "train/input.h"

#define SL_ARG_OPTIONS 12 /* the last of them */

/* The arguments of train() but the options. */
typedef struct SlTrainCall
{
	char *model;
	char *source;
	char *target; /* NULL: the item is */
	char *item;	  /* NULL: none; one of the inputs */
	char *partition_by;
	char *order_by;
	char *censored; /* NULL: none */
	SlModelTask task;
	char *clusters; /* a stored clustering, or NULL */
	int count;		/* input columns, all roles, in the order of SlInputs */
	char **names;
	SlRole *roles;
} SlTrainCall;

/* Reads them, and refuses what would let a row see its own answer. */
extern void sl_call_read(FunctionCallInfo fcinfo, SlTrainCall *call);

/* Refuses options that don't go with the arguments. */
extern void sl_call_check(const SlTrainCall *call, const SlOptions *options);

#endif
