/*
 * metric_sql.h: the argument checks that all metric aggregates share.
 */
#ifndef SL_METRIC_SQL_H
#define SL_METRIC_SQL_H

#include <stdbool.h>

/* y given as a number: the class it stands for, 0 or 1 */
extern bool sl_metric_class(double y);

/* p, which must be a probability */
extern double sl_metric_probability(double p);

/* The class a probability stands for: true above one half. */
extern bool sl_metric_predicted_class(double p);

/* |y - p| of finite numbers; name is what the caller calls p */
extern double sl_metric_absolute_error(double y, double p, const char *name);

#endif
