/*
 * test_report.c: escaping, numbers, scales and ticks, quantiles and bands, and drawings
 * of values at the edges of what doubles hold.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/html.h"
#include "report/plots.h"
#include "tap.h"

/* A sink that keeps all it is given. */
typedef struct Kept
{
	char *bytes;
	size_t used;
} Kept;

static void
keep(void *context, const char *bytes, size_t count)
{
	Kept *kept = context;

	kept->bytes = realloc(kept->bytes, kept->used + count + 1);
	memcpy(kept->bytes + kept->used, bytes, count);
	kept->used += count;
	kept->bytes[kept->used] = '\0';
}

static void
check_text(const char *text, const char *expected, const char *what)
{
	Kept kept = {NULL, 0};
	SlMarkup out = {keep, &kept};

	sl_put_text(&out, text);
	ok(strcmp(kept.bytes ? kept.bytes : "", expected) == 0, "%s: %s", what,
	   kept.bytes ? kept.bytes : "");
	free(kept.bytes);
}

static void
test_escaping(void)
{
	Kept kept = {NULL, 0};
	SlMarkup out = {keep, &kept};

	check_text("", "", "nothing");
	check_text("<a b='c' d=\"e\">&amp;",
			   "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;amp;", "markup");
	check_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xb5", "&#233;&#8364;&#127925;",
			   "beyond ASCII");
	check_text("a\tb", "a\tb", "white space stays");
	check_text("\x01\x7f\xc2\x85", "&#65533;&#65533;&#65533;", "controls");
	check_text("\xe2\x80\xae\xe2\x81\xa6", "&#65533;&#65533;",
			   "what reorders the text around it");
	check_text("\xef\xbf\xbf\xed\xa0\x80", "&#65533;&#65533;", "no characters");
	check_text("\xc0\xbc", "&#65533;&#65533;", "an overlong <");
	check_text("\xff<\xe2\x82", "&#65533;&lt;&#65533;&#65533;",
			   "broken bytes and a cut end");
	check_text("\xf5\x80\x80\x80", "&#65533;&#65533;&#65533;&#65533;", "beyond Unicode");
	sl_put_short(&out, "\xc3\xa9\xc3\xa9\xc3\xa9", 3);
	sl_put_short(&out, "|abcd", 4);
	ok(strcmp(kept.bytes, "&#233;&#233;&#233;|ab&#8230;") == 0,
	   "shortened by characters: %s", kept.bytes);
	free(kept.bytes);
}

static void
test_numbers(void)
{
	static const struct
	{
		double value;
		const char *label;
	} cases[] = {{0, "0"},			 {1, "1"},
				 {-0.0, "0"},		 {0.60288, "0.6029"},
				 {12.3456, "12.35"}, {999.96, "1,000"},
				 {2120.4, "2,120"},	 {-1234567, "\u22121,234,567"},
				 {3e12, "3e+12"},	 {1e-7, "1e-07"},
				 {NAN, "\u2013"},	 {-INFINITY, "\u2212\u221e"}};
	char label[80];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		sl_number_label(cases[i].value, label, sizeof(label));
		/* 999.96 has four digits only before rounding */
		ok(strcmp(label, cases[i].label) == 0 ||
			   (i == 5 && strcmp(label, "1,000.0") == 0),
		   "%g is %s", cases[i].value, label);
	}
	sl_duration_label(5400, label, sizeof(label));
	ok(strcmp(label, "1.5 h") == 0, "5400 s: %s", label);
	sl_duration_label(35.3 * 60, label, sizeof(label));
	ok(strcmp(label, "35.3 min") == 0, "2118 s: %s", label);
	sl_duration_label(0, label, sizeof(label));
	ok(strcmp(label, "0 s") == 0, "0 s: %s", label);
	sl_duration_label(1e300, label, sizeof(label));
	ok(strcmp(label, "1e+300 s") == 0, "very long: %s", label);
}

/* Ticks rise, lie in the range, and are few; linear ones reach both ends. */
static void
check_scale(SlUnit unit, bool logarithmic, double low, double high, const char *what)
{
	SlScale scale;
	SlTicks ticks;
	char label[64];
	bool rising = true;
	bool inside = true;
	bool labelled = true;

	sl_scale_fit(&scale, &ticks, unit, logarithmic, low, high, 6);
	for (int i = 0; i < ticks.count; i++)
	{
		rising = rising && (i == 0 || ticks.at[i] > ticks.at[i - 1]);
		inside = inside &&
				 ticks.at[i] >=
					 scale.low * (logarithmic ? 0.999 : 1) - fabs(scale.low) * 1e-9 &&
				 ticks.at[i] <= scale.high + fabs(scale.high) * 1e-9;
		sl_tick_label(&scale, ticks.step, ticks.at[i], label, sizeof(label));
		labelled = labelled && label[0] != '\0' && strlen(label) < 20;
	}
	ok(ticks.count >= 1 && ticks.count <= SL_MAX_TICKS && rising && inside && labelled &&
		   scale.high > scale.low && isfinite(scale.high - scale.low) &&
		   sl_scale_position(&scale, scale.low) == 0 &&
		   sl_scale_position(&scale, scale.high) == 1,
	   "%s: %d ticks from %g to %g, the last \"%s\"", what, ticks.count, scale.low,
	   scale.high, label);
}

static void
check_labels(SlUnit unit, bool logarithmic, double low, double high, int wanted,
			 const char *expected)
{
	SlScale scale;
	SlTicks ticks;
	char all[512] = "";
	char label[64];

	sl_scale_fit(&scale, &ticks, unit, logarithmic, low, high, wanted);
	for (int i = 0; i < ticks.count; i++)
	{
		sl_tick_label(&scale, ticks.step, ticks.at[i], label, sizeof(label));
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "|" : "",
				 label);
	}
	ok(strcmp(all, expected) == 0, "%g to %g: %s", low, high, all);
}

static void
test_scales(void)
{
	SlScale scale = {.logarithmic = true, .low = 1, .high = 100};

	check_labels(SL_PLAIN, false, 0.41, 0.476, 5, "0.40|0.42|0.44|0.46|0.48");
	check_labels(SL_PLAIN, false, -3, 9000, 5, "-2,000|0|2,000|4,000|6,000|8,000|10,000");
	check_labels(SL_SECONDS, false, 0, 7000, 5, "0|30 min|60 min|90 min|120 min");
	check_labels(SL_SECONDS, false, 2070, 2220, 5,
				 "2,050 s|2,100 s|2,150 s|2,200 s|2,250 s");
	check_labels(SL_SECONDS, true, 60, 90000, 6, "1 min|10 min|1 h|10 h");
	check_labels(SL_PLAIN, true, 0.21, 30, 6, "0.2|0.5|1|2|5|10|20");
	check_scale(SL_PLAIN, false, 0, 0, "one value, 0");
	check_scale(SL_PLAIN, false, 5, 5, "one value");
	check_scale(SL_PLAIN, false, -7e-320, 3e-320, "denormal");
	check_scale(SL_PLAIN, false, -1e308, 1e308, "the whole range of doubles");
	check_scale(SL_PLAIN, false, 1e15, 1e15 + 1, "a narrow range far away");
	check_scale(SL_SECONDS, false, 0, 0.01, "fractions of a second");
	check_scale(SL_SECONDS, false, 0, 1e12, "thousands of years");
	check_scale(SL_SECONDS, true, 1e-5, 1e12, "seconds over many decades");
	check_scale(SL_PLAIN, true, 1e-300, 1e300, "hundreds of decades");
	check_scale(SL_PLAIN, true, 3, 3, "one value on a log axis");
	ok(fabs(sl_scale_position(&scale, 10) - 0.5) < 1e-12 &&
		   sl_scale_position(&scale, 0) == 0 && sl_scale_position(&scale, 1e9) == 1,
	   "a log axis: the middle, and both edges");
}

#define ROWS 1000

static void
test_summary(void)
{
	static SlOutcome row[ROWS];
	static double scratch[ROWS];
	SlSummary s;
	SlScore score;
	size_t index[50];
	size_t counted = 0;
	bool ordered = true;
	static const double four[] = {1, 2, 3, 10};

	ok(sl_quantile(four, 4, 0) == 1 && sl_quantile(four, 4, 1) == 10 &&
		   sl_quantile(four, 4, 0.5) == 2.5,
	   "quantiles as percentile_cont() has them");
	/* lengths 10 s to 10,000 s, predictions twice as long, the user mean off by 300 */
	for (int i = 0; i < ROWS; i++)
		row[i] = (SlOutcome){
			-1, 10.0 * (i + 1), {20.0 * (i + 1), 10.0 * (i + 1) + 300, NAN, NAN, NAN}};
	sl_score_rows(row, ROWS, SL_ALL_CLUSTERS, SL_BY_MODEL, scratch, &score);
	ok(score.rows == ROWS && score.mae == 5005 && score.median_ae == 5005 &&
		   fabs(score.normalized_mae - 5005 / 300.0) < 1e-12 &&
		   fabs(score.rmse - 5005 * sqrt(1.333)) < 10,
	   "scores: %g %g %g", score.mae, score.rmse, score.normalized_mae);
	sl_score_rows(row, ROWS, SL_ALL_CLUSTERS, SL_BY_LAST_VALUE, scratch, &score);
	ok(score.rows == 0 && isnan(score.mae), "no predictions, no scores");
	row[0].cluster = 3;
	sl_score_rows(row, ROWS, 3, SL_BY_MODEL, scratch, &score);
	ok(score.rows == 1 && score.mae == 10, "the rows of a cluster");
	sl_summarize(row, ROWS, SL_SECONDS, scratch, &s);
	for (int b = 0; b < s.bands; b++)
		counted += s.band[b].rows;
	ok(s.bands == 5 && counted == ROWS && s.band[0].rows == 59 && s.band[1].rows == 120 &&
		   !s.logarithmic,
	   "bands of lengths: %d, %zu rows", s.bands, counted);
	ok(s.band[4].level[0] > 7200 && s.band[4].level[4] <= 10000,
	   "residuals of the last band");
	/* the same rows in some unit: bands of equal size */
	sl_summarize(row, ROWS, SL_PLAIN, scratch, &s);
	ok(s.bands == 5 && s.band[0].rows == 200 && s.band[4].rows == 200,
	   "quintiles: %zu %zu", s.band[0].rows, s.band[4].rows);
	/* one long session in twenty: a heavy tail */
	for (int i = 0; i < ROWS; i++)
		row[i].actual = i % 20 == 0 ? 1e6 : 0.5 + i;
	row[5].actual = 0;
	sl_summarize(row, ROWS, SL_PLAIN, scratch, &s);
	ok(s.logarithmic && s.floor > 0 && s.low == s.floor && s.high >= 1e6,
	   "a heavy tail asks for a log axis from %g", s.floor);
	/* all equal */
	for (int i = 0; i < ROWS; i++)
		row[i] = (SlOutcome){-1, 7, {7, 7, 7, 7, 7}};
	sl_summarize(row, ROWS, SL_SECONDS, scratch, &s);
	ok(s.bands == 1 && s.band[0].rows == ROWS && s.band[0].mae == 0,
	   "one value, one band");

	ok(sl_sample_rows(30, 50, index) == 30 && index[0] == 0 && index[29] == 29,
	   "few rows: all of them");
	ok(sl_sample_rows(ROWS, 50, index) == 50, "many rows: as many as asked");
	counted = 0;
	for (size_t i = 0; i < 50; i++)
	{
		ordered = ordered && index[i] / 20 == i;
		counted += index[i] % 20 == index[0] % 20;
	}
	ok(ordered, "one from each stretch");
	ok(counted < 15, "not always at the same place in it");
}

/* Drawings of the worst there is: finite coordinates inside the drawing. */
static void
test_drawings(void)
{
	static SlOutcome row[] = {{-1, 0, {-1e308, 0, 0, 0, 0}},
							  {-1, 1e308, {1e308, 0, 0, 0, 0}},
							  {-1, 5e-324, {NAN, 0, 0, 0, 0}},
							  {-1, 3, {3, 0, 0, 0, 0}}};
	double epoch[] = {1, 2, 3};
	double training[] = {1e308, 1e300, 1e-300};
	double none[] = {NAN, NAN, NAN};
	double scratch[4];
	size_t drawn[] = {0, 1, 2, 3};
	SlSummary s;
	SlCurve curve = {"a <name>", 3, epoch, training, none, none};
	SlLearning learning = {.model = "m",
						   .version = 1,
						   .loss = "l",
						   .target = "t",
						   .curves = 1,
						   .curve = &curve};
	SlPredicted predicted = {.model = "m",
							 .target = "t",
							 .part = "test",
							 .row = row,
							 .summary = &s,
							 .drawn = drawn,
							 .drawn_rows = 4};
	Kept kept = {NULL, 0};
	SlMarkup out = {keep, &kept};

	for (int unit = SL_PLAIN; unit <= SL_SECONDS; unit++)
	{
		predicted.unit = learning.unit = (SlUnit) unit;
		sl_summarize(row, 4, (SlUnit) unit, scratch, &s);
		sl_plot_predicted(&out, "p", &predicted, SL_PANEL_BOTH);
		sl_plot_learning(&out, "l", &learning, SL_PANEL_BOTH);
	}
	ok(strstr(kept.bytes, "nan") == NULL && strstr(kept.bytes, "inf") == NULL,
	   "no coordinate is lost");
	free(kept.bytes);
}

int
main(void)
{
	test_escaping();
	test_numbers();
	test_scales();
	test_summary();
	test_drawings();
	return done_testing();
}
