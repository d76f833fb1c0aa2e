/*
 * argument.h: text arguments and call contexts of SQL functions.
 */
#ifndef SL_ARGUMENT_H
#define SL_ARGUMENT_H

#include "fmgr.h"

/* In the current memory context; NULL where the argument is. */
extern char *sl_text_argument(FunctionCallInfo fcinfo, int number);

/* An error if it is NULL: "name must not be null", with a hint unless that is NULL. */
extern char *sl_required_text(FunctionCallInfo fcinfo, int number, const char *name,
							  const char *hint);

/* Where an aggregate's state lives; an error in any other call. */
extern MemoryContext sl_aggregate_context(FunctionCallInfo fcinfo);

#endif
