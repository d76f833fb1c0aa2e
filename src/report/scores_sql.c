/*
 * scores_sql.c: how good a model of classes or items is: evaluate() as a table, and how
 * that changes from the first predicted row of a sequence to the last.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "report/page.h"

#define K CppAsString2(SL_REPORT_K)
#define POSITIONS "20" /* of a sequence, in the table by position */

/* The caller's own path holds: the source is the caller's SQL. */
static void
run(const SlReported *reported, const char *source, const char *sql)
{
	Datum args[] = {CStringGetTextDatum(reported->name),
					source ? CStringGetTextDatum(source) : (Datum) 0};

	if (SPI_execute_with_args(sql, 2, (Oid[]){TEXTOID, TEXTOID}, args,
							  source ? "  " : " n", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not evaluate a model for its page");
}

void
sl_page_evaluate(const SlReported *reported, const char *source, const char *columns)
{
	run(reported, source,
		psprintf("SELECT predictor, row_count::pg_catalog.float8, %s"
				 " FROM sessionlen.evaluate($1, $2, k => " K ") WHERE cluster IS NULL",
				 columns));
}

/* Rows of the statement just run: a name, a count, a share as a bar, more numbers. */
static void
put_rows(SlHtml *page, const SlReported *reported, bool model_first)
{
	int columns = SPI_tuptable->tupdesc->natts;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];

		if (i == 0 && model_first)
			sl_html_row_head_own(page, reported->model);
		else
			sl_html_row_head(page, sl_row_text(row, 1));
		sl_html_cell_count(page, (long long) sl_row_number(row, 2));
		for (int c = 3; c <= columns; c++)
			if (c == 3)
				sl_html_cell_bar(page, sl_row_number(row, c), 3, 1);
			else
				sl_html_cell_fixed(page, sl_row_number(row, c), 3);
		sl_html_row_end(page);
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
class_scores(SlHtml *page, const SlReported *reported, const char *source)
{
	static const char *const heads[] = {
		"predictor",		 "#rows", "#accuracy", "#first accuracy",
		"#average accuracy", "#AUC",  "#log loss"};
	static const char *const positions[] = {"position", "#sequences", "#accuracy",
											"#last value", "#global rate"};

	sl_html_table(page, psprintf("Predictions of %s on held-out rows", reported->target));
	sl_html_heads(page, lengthof(heads), heads);
	sl_page_evaluate(reported, source,
					 "accuracy, first_accuracy, average_accuracy, auc, log_loss");
	put_rows(page, reported, true);
	sl_html_table_end(page);
	sl_html_paragraph(
		page, "note",
		"Accuracy: the share of rows where the probability is on the right side of 0.5; "
		"of a sequence's first predicted row: first accuracy. Average accuracy of a "
		"sequence: over its rows, the accuracy so far where the prediction is right and "
		"0 where it is wrong; the mean over sequences is shown. AUC: the chance that a "
		"true row ranks above one that is not.");
	sl_html_table(page, "Accuracy by position among the rows predicted");
	sl_html_heads(page, lengthof(positions), positions);
	run(reported, source,
		"SELECT p.\"position\"::pg_catalog.text,"
		" pg_catalog.count(*)::pg_catalog.float8,"
		" sessionlen.accuracy(p.actual, p.prediction),"
		" sessionlen.accuracy(p.actual, p.last_value),"
		" sessionlen.accuracy(p.actual, p.global_mean)"
		" FROM sessionlen.predictions($1, $2) p WHERE p.actual IS NOT NULL"
		" AND p.\"position\" OPERATOR(pg_catalog.<=) " POSITIONS
		" GROUP BY p.\"position\" ORDER BY p.\"position\"");
	put_rows(page, reported, false);
	sl_html_table_end(page);
}

static void
item_scores(SlHtml *page, const SlReported *reported, const char *source)
{
	static const char *const heads[] = {"predictor", "#rows", "#recall at " K,
										"#MRR at " K};
	static const char *const positions[] = {"position", "#sequences", "#recall at " K,
											"#MRR at " K, "#co-occurrence\u2019s recall"};

	sl_html_table(page, psprintf("Where the next %s stood among all, on held-out rows",
								 reported->target));
	sl_html_heads(page, lengthof(heads), heads);
	sl_page_evaluate(reported, source, "recall, mrr");
	put_rows(page, reported, true);
	sl_html_table_end(page);
	sl_html_paragraph(
		page, "note",
		"Recall: the share of rows whose item is among the first " K
		". MRR: the mean of 1 \u00f7 its rank, 0 beyond. Items that are not in the "
		"vocabulary count as missed. Baselines: the most popular items of the training "
		"rows, and the items that came most often after the item before.");
	sl_html_table(page, "By position among the rows predicted");
	sl_html_heads(page, lengthof(positions), positions);
	run(reported, source,
		"SELECT p.\"position\"::pg_catalog.text,"
		" pg_catalog.count(*)::pg_catalog.float8, sessionlen.recall(p.rank, " K
		"), sessionlen.mrr(p.rank, " K "), sessionlen.recall(p.cooccurrence_rank, " K ")"
		" FROM sessionlen.item_predictions($1, $2) p"
		" WHERE p.\"position\" OPERATOR(pg_catalog.<=) " POSITIONS
		" GROUP BY p.\"position\" ORDER BY p.\"position\"");
	put_rows(page, reported, false);
	sl_html_table_end(page);
}

void
sl_page_calibration(SlHtml *page, const SlPredicted *predicted)
{
	static const char *const heads[] = {"mean predicted probability", "#rows",
										"#share that were true"};
	SlTenth tenth[SL_TENTHS];
	int count = sl_calibrate(predicted, tenth);

	sl_put(&page->out, "<div class=\"charts\">\n");
	sl_html_figure(page);
	sl_plot_calibration(&page->out, "sl-calibration", predicted);
	sl_html_figure_end(page, "Rows by tenths of the predicted probability. On the dashed "
							 "line as many were true as it says.");
	sl_put(&page->out, "</div>\n");
	sl_html_table(page, psprintf("How often %s was true, by tenths of the predicted "
								 "probability",
								 predicted->target));
	sl_html_heads(page, lengthof(heads), heads);
	for (int i = 0; i < count; i++)
	{
		sl_html_row_head(page, psprintf("%.3f", tenth[i].predicted));
		sl_html_cell_count(page, (long long) tenth[i].rows);
		sl_html_cell_bar(page, tenth[i].actual, 3, 1);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
}

void
sl_page_scores(SlHtml *page, const SlReported *reported, const char *source)
{
	if (strcmp(reported->task, "next_items") == 0)
		item_scores(page, reported, source);
	else
		class_scores(page, reported, source);
}
