/*
 * argument.h: text arguments of SQL functions.
 */
#ifndef SL_ARGUMENT_H
#define SL_ARGUMENT_H

#include "fmgr.h"

/* In the current memory context; NULL where the argument is. */
extern char *sl_text_argument(FunctionCallInfo fcinfo, int number);

/* An error if it is NULL: "name must not be null", with a hint unless that is NULL. */
extern char *sl_required_text(FunctionCallInfo fcinfo, int number, const char *name,
							  const char *hint);

#endif
