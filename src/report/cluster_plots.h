/*
 * cluster_plots.h: whole drawings of clusterings.  Plain C11.
 */
#ifndef SL_CLUSTER_PLOTS_H
#define SL_CLUSTER_PLOTS_H

#include "report/chart.h"

typedef struct SlElbow
{
	const char *source; /* what was clustered, for the title */
	int n;
	double *k;
	double *inertia;
	double knee; /* NaN: none */
	bool standardized;
} SlElbow;

extern void sl_plot_elbow(SlMarkup *out, const char *id, const SlElbow *elbow);

typedef struct SlCloud
{
	const char *name;
	const char *x_name;
	const char *y_name;
	size_t points; /* drawn */
	size_t all;	   /* of the clustering, NULLs left out */
	double *x;
	double *y;
	int *cluster;
	int clusters;
	double *size;	  /* [clusters] */
	double *center_x; /* NaN where a cluster has no point */
	double *center_y;
	double low[2]; /* smallest and largest value of all points, x and y */
	double high[2];
	bool logarithmic[2];
} SlCloud;

extern void sl_plot_cloud(SlMarkup *out, const char *id, const SlCloud *cloud);

typedef struct SlSilhouettes
{
	const char *name;
	size_t points;
	double *value; /* sorted by cluster, then downwards */
	int clusters;
	int *number;   /* [clusters] */
	size_t *start; /* [clusters + 1] */
	double mean;
} SlSilhouettes;

extern void sl_plot_silhouettes(SlMarkup *out, const char *id, const SlSilhouettes *s);

#endif
