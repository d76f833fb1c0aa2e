/*
 * chart.h: pieces of a chart in SVG: frame, axes, lines, points, boxes, bars.  Plain C11.
 *
 * A drawing may hold several charts.  Its style sheet has a light and a dark set of
 * colours, names all it uses by classes beginning with "sl-", and needs nothing from
 * outside.
 */
#ifndef SL_CHART_H
#define SL_CHART_H

#include "report/markup.h"
#include "report/scale.h"

/* Series and clusters beyond these colours start anew with another marker. */
#define SL_COLORS 8

typedef struct SlChart
{
	SlMarkup *out;
	double left; /* of the plot area, in the drawing's units */
	double top;
	double width;
	double height;
	SlScale x;
	SlScale y;
	SlTicks x_ticks; /* fitted with the scales */
	SlTicks y_ticks;
} SlChart;

/* The drawing: id makes its element names unique in a page; title and description are
 * UTF-8 and for those who can't see it. */
extern void sl_svg_open(SlMarkup *out, const char *id, double width, double height,
						const char *title, const char *description);
extern void sl_svg_close(SlMarkup *out);

/* A chart in the rectangle given, all its labels included; scales are fitted after. */
extern void sl_chart_place(SlChart *chart, SlMarkup *out, double left, double top,
						   double width, double height);
/* Grid, ticks, and labels: the title above, the y axis' label under it, the x axis'
 * below. */
extern void sl_chart_axes(const SlChart *chart, const char *title, const char *x_label,
						  const char *y_label);
/* The same without ticks on the x axis, for charts of named bands. */
extern void sl_chart_axis_y(const SlChart *chart, const char *title, const char *x_label,
							const char *y_label);

extern double sl_chart_x(const SlChart *chart, double value);
extern double sl_chart_y(const SlChart *chart, double value);

/* A line through n points; a value that is not finite interrupts it.  Few points are
 * marked as well. */
extern void sl_chart_line(const SlChart *chart, int series, int n, const double *x,
						  const double *y);
/* A marker of the colour and shape of a series. */
extern void sl_chart_point(const SlChart *chart, int series, double x, double y);
/* A large one, for the middle of many. */
extern void sl_chart_mean(const SlChart *chart, int series, double x, double y);
/* A small dot, for clouds of many. */
extern void sl_chart_dot(const SlChart *chart, int series, double x, double y);
/* A dashed straight line between two points of the plot. */
extern void sl_chart_rule(const SlChart *chart, double x1, double y1, double x2,
						  double y2);
/* Whiskers, box and middle line around x in pixels: levels[5] from low to high. */
extern void sl_chart_box(const SlChart *chart, int series, double center, double width,
						 const double levels[5]);
/* Names of series on one line under the title; returns the width used. */
extern void sl_chart_legend(const SlChart *chart, int count, const char *const *names,
							const int *series);
/* Text at a place of the drawing; anchor "start", "middle" or "end". */
extern void sl_chart_text(SlMarkup *out, double x, double y, const char *anchor,
						  const char *kind, const char *text);

#endif
