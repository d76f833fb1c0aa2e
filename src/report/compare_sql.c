/*
 * compare_sql.c: report(models): several models and their baselines in one table.
 *
 * Models are of one task, which says by what they are measured.  They are read one after
 * the other, and only their scores are kept.  Baselines that
 * agree, as they do for models of one source and split, are shown once.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "report/page.h"
#include "store/json.h"

PG_FUNCTION_INFO_V1(sl_report_models);

#define MAX_MODELS 100
#define MAX_MEASURES 5
#define MAX_PREDICTORS 8 /* a model and its baselines */

/* What a task is measured by; the first decides the order. */
typedef struct Measures
{
	const char *task;
	const char *columns; /* of evaluate(); NULL: errors of a quantity */
	const char *caption; /* %s: what is predicted */
	int count;
	const char *heads[MAX_MEASURES];
	const char *reference; /* what scores from elsewhere are by default */
	const char *apart;	   /* where rows differ */
	const char *note;
} Measures;

typedef struct Row
{
	bool own; /* a model, not a baseline */
	char *name;
	char *server_name;
	size_t rows;
	double value[MAX_MEASURES];
} Row;

typedef struct Comparison
{
	SlHtml page;
	int models;
	SlReported **reported;
	SlLearning learning; /* a curve for each model */
	SlUnit unit;
	bool same_target;
	bool same_rows;
	bool same_loss;
	const Measures *by;
	Jsonb *reference; /* or NULL */
	bool measured;	  /* some of its scores are of another measure, ours by it given */
	int rows;
	Row row[MAX_MODELS * MAX_PREDICTORS];
} Comparison;

#define K CppAsString2(SL_REPORT_K)
#define BESIDE                                                                         \
	"The models were not measured on the same rows of the same target: each is to be " \
	"compared with the baselines on as many rows."

static const Measures measures[] = {
	{"regression",
	 NULL,
	 "Errors of %s on held-out rows, the smallest first",
	 4,
	 {"#MAE", "#RMSE", "#median AE", "#normalized MAE"},
	 "normalized MAE",
	 "The models were not measured on the same rows of the same target, so only the "
	 "normalized MAE compares them.",
	 "Normalized MAE is the error divided by that of each user\u2019s mean on the same "
	 "rows: below 1 is better than it."},
	{"skip",
	 "average_accuracy, first_accuracy, accuracy, auc, log_loss",
	 "Predictions of %s on held-out rows, the best first",
	 5,
	 {"#average accuracy", "#first accuracy", "#accuracy", "#AUC", "#log loss"},
	 "average accuracy",
	 BESIDE,
	 "Average accuracy of a sequence: over its rows, the accuracy so far where the "
	 "prediction is right and 0 where it is wrong; the mean over sequences is shown. First "
	 "accuracy: that of each sequence\u2019s first predicted row. AUC: the chance that a "
	 "true row ranks above one that is not. Of the log loss less is better."},
	{"binary",
	 "auc, log_loss, accuracy",
	 "Predictions of %s on held-out rows, the best first",
	 3,
	 {"#AUC", "#log loss", "#accuracy"},
	 "AUC",
	 BESIDE,
	 "AUC: the chance that a true row ranks above one that is not. Of the log loss less is "
	 "better. Accuracy: the share of rows where the probability is on the right side of "
	 "0.5."},
	{"next_items",
	 "recall, mrr",
	 "Where the next %s stood among all, on held-out rows, the best first",
	 2,
	 {"#recall at " K, "#MRR at " K},
	 "recall at " K,
	 BESIDE,
	 "Recall: the share of rows whose item is among the first " K
	 ". MRR: the mean of 1 \u00f7 its rank, 0 beyond. Items that are not in the vocabulary "
	 "count as missed."},
};

/* ---- reading ---- */

static void
add_row(Comparison *c, const Row *row)
{
	for (int i = 0; i < c->rows; i++)
		if (!row->own && !c->row[i].own && strcmp(row->name, c->row[i].name) == 0 &&
			row->rows == c->row[i].rows &&
			memcmp(row->value, c->row[i].value, sizeof(row->value)) == 0)
			return;
	c->row[c->rows++] = *row;
}

/* A model's curve in the common drawing; one of several networks has no single one. */
static void
add_curve(Comparison *c, SlReported *reported)
{
	SlLearning *learning = sl_read_learning(reported);

	if (learning->curves != 1)
		return;
	learning->curve[0].name = reported->model;
	c->learning.curve[c->learning.curves++] = learning->curve[0];
}

static Row
row_of(const SlReported *reported, bool own, char *name, size_t rows)
{
	return (Row){.own = own,
				 .name = own ? reported->model : name,
				 .server_name = own ? reported->name : name,
				 .rows = rows};
}

static void
read_errors(Comparison *c, const SlReported *reported, const char *source)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen comparison", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SlPredictions *p = sl_read_predictions(reported, source, "test");

	MemoryContextSwitchTo(old);
	for (int i = 0; i < SL_PREDICTORS; i++)
	{
		Row row =
			row_of(reported, i == SL_BY_MODEL, pstrdup(sl_predictor_name(i)), p->rows);
		SlScore score;

		CHECK_FOR_INTERRUPTS();
		sl_score_rows(p->row, p->rows, SL_ALL_CLUSTERS, i, p->scratch, &score);
		row.value[0] = score.mae;
		row.value[1] = score.rmse;
		row.value[2] = score.median_ae;
		row.value[3] = score.normalized_mae;
		add_row(c, &row);
	}
	MemoryContextDelete(context);
}

/* The model's own row is the first; without held-out rows there is none. */
static void
read_scores(Comparison *c, const SlReported *reported, const char *source)
{
	sl_page_evaluate(reported, source, c->by->columns);
	Assert(SPI_processed <= MAX_PREDICTORS);
	for (uint64 i = 0; i < Max(SPI_processed, 1); i++)
	{
		HeapTuple found = i < SPI_processed ? SPI_tuptable->vals[i] : NULL;
		Row row = row_of(reported, i == 0, found ? sl_row_text(found, 1) : NULL,
						 found ? (size_t) sl_row_number(found, 2) : 0);

		for (int m = 0; m < c->by->count; m++)
			row.value[m] = found ? sl_row_number(found, 3 + m) : NAN;
		add_row(c, &row);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* All are measured as the first. */
static void
find_measures(Comparison *c, const SlReported *reported)
{
	if (c->by && strcmp(c->by->task, reported->task) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("models of different tasks can't be compared"),
						errdetail("Model \"%s\" is of task %s, model \"%s\" of task %s.",
								  c->reported[0]->name, c->by->task, reported->name,
								  reported->task),
						errhint("Make a page of the models of each task.")));
	for (int i = 0; i < (int) lengthof(measures); i++)
		if (strcmp(measures[i].task, reported->task) == 0)
			c->by = &measures[i];
	if (c->by == NULL)
		elog(ERROR, "no measures of task \"%s\"", reported->task);
}

static void
read_model(Comparison *c, SlReported *reported, const char *source)
{
	add_curve(c, reported);
	if (c->by->columns)
		read_scores(c, reported, source);
	else
		read_errors(c, reported, source);
}

static int
by_error(const void *a, const void *b)
{
	double x = ((const Row *) a)->value[0];
	double y = ((const Row *) b)->value[0];

	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return (x > y) - (x < y);
}

/* Where a baseline is as good, it stands below. */
static int
by_score(const void *a, const void *b)
{
	const Row *x = a;
	const Row *y = b;
	int order =
		isnan(x->value[0]) || isnan(y->value[0]) ? by_error(a, b) : by_error(b, a);

	return order ? order : y->own - x->own;
}

static void
read_models(Comparison *c, ArrayType *models, const char *source)
{
	Datum *names;
	bool *nulls;
	int count;
	int predictors = 0;

	deconstruct_array(models, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
	if (count == 0 || count > MAX_MODELS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("models must name between 1 and %d models", MAX_MODELS)));
	c->reported = palloc0(sizeof(SlReported *) * count);
	c->learning.curve = palloc0(sizeof(SlCurve) * count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("models must not contain nulls")));
		c->reported[i] = sl_read_version(TextDatumGetCString(names[i]), 0);
		find_measures(c, c->reported[i]);
	}
	for (; c->models < count; c->models++)
	{
		int before = c->rows;

		read_model(c, c->reported[c->models], source);
		if (c->models == 0)
			predictors = c->rows - before;
	}
	c->same_target = c->same_rows = c->same_loss = true;
	for (int i = 1; i < count; i++)
	{
		c->same_target &= strcmp(c->reported[i]->target, c->reported[0]->target) == 0;
		c->same_loss &= strcmp(c->reported[i]->loss, c->reported[0]->loss) == 0;
	}
	for (int i = 1; i < c->rows; i++)
		c->same_rows &= c->row[i].rows == c->row[0].rows;
	/* equal rows also have equal baselines: then each is there once */
	c->same_rows &= c->rows == count + predictors - 1;
	c->unit = c->same_target && c->by->columns == NULL ? c->reported[0]->unit : SL_PLAIN;
	qsort(c->row, c->rows, sizeof(Row), c->by->columns ? by_score : by_error);
}

/* ---- references ---- */

/*
 * A predictor's reference is a score, an array of them, or an object: score, measured
 * (ours where the score is of another measure), note.
 */
static void
wrong_reference(const Row *row)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("reference \"%s\" must be a number, an array of numbers or an object",
					row->server_name),
			 errhint("An object has score, a number or an array of numbers, and may have "
					 "measured, a number, and note, a text.")));
}

static JsonbContainer *
container_of(const JsonbValue *value, bool object)
{
	if (value == NULL || value->type != jbvBinary ||
		(object ? !JsonContainerIsObject(value->val.binary.data)
				: !JsonContainerIsArray(value->val.binary.data)))
		return NULL;
	return value->val.binary.data;
}

/* A field of a predictor's reference; of one that is no object only the score is there.
 */
static JsonbValue *
reference_field(const Comparison *c, const Row *row, const char *field)
{
	JsonbValue *value =
		c->reference ? sl_json_get(&c->reference->root, row->server_name) : NULL;
	JsonbContainer *object = container_of(value, true);

	if (object)
		return sl_json_get(object, field);
	return strcmp(field, "score") == 0 ? value : NULL;
}

static void
append_score(StringInfo out, const Row *row, const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		wrong_reference(row);
	appendStringInfo(out, "%s%.3f", out->len ? ", " : "", sl_json_number(value));
}

/* Numbers as a cell shows them; "" where there are none. */
static char *
scores_text(const Row *row, const JsonbValue *value)
{
	JsonbContainer *array = container_of(value, false);
	StringInfoData out;

	initStringInfo(&out);
	if (array)
		for (uint32 i = 0; i < JsonContainerSize(array); i++)
			append_score(&out, row, getIthJsonbValueFromContainer(array, i));
	else if (value)
		append_score(&out, row, value);
	return out.data;
}

static void
cells_of_reference(Comparison *c, const Row *row)
{
	sl_html_cell_digits(&c->page, scores_text(row, reference_field(c, row, "score")));
	if (!c->measured)
		return;
	sl_html_cell_digits(&c->page, scores_text(row, reference_field(c, row, "measured")));
}

static void
notes_of_references(Comparison *c)
{
	sl_html_paragraph(
		&c->page, "note",
		c->measured
			? psprintf("Reference: scores reported elsewhere, as given with the call. By "
					   "its measure: the score here, measured as the reference was where "
					   "that is no %s.",
					   c->by->reference)
			: psprintf("Reference: %s reported elsewhere, as given with the call.",
					   c->by->reference));
	for (int i = 0; i < c->rows; i++)
	{
		JsonbValue *note = reference_field(c, &c->row[i], "note");

		if (note == NULL)
			continue;
		if (note->type != jbvString)
			wrong_reference(&c->row[i]);
		sl_html_paragraph(
			&c->page, "note",
			psprintf("%s: %s", c->row[i].name, sl_utf8(sl_json_cstring(note))));
	}
}

/* ---- writing ---- */

/* Errors of a quantity as fit its size, but for the last, which is a ratio as are the
 * other tasks' measures. */
static void
cells_of_measures(Comparison *c, const Row *row, double most)
{
	const Measures *by = c->by;

	for (int m = 0; m < by->count; m++)
	{
		bool plain = by->columns || m == by->count - 1;
		int decimals = plain ? 3 : sl_decimals(most);

		if (m == 0)
			sl_html_cell_bar(&c->page, row->value[m], decimals, by->columns ? 1 : most);
		else
			sl_html_cell_fixed(&c->page, row->value[m], decimals);
	}
}

static void
heads_of_errors(Comparison *c)
{
	const char *heads[MAX_MEASURES + 4] = {"predictor", "#rows"};
	int count = 2;

	for (int m = 0; m < c->by->count; m++)
		heads[count++] = c->by->heads[m];
	if (c->reference)
		heads[count++] = "#reference";
	if (c->measured)
		heads[count++] = "#by its measure";
	sl_html_heads(&c->page, count, heads);
}

static void
section_errors(Comparison *c)
{
	SlHtml *page = &c->page;
	double most = 0;

	for (int i = 0; i < c->rows; i++)
	{
		most = fmax(most, c->row[i].value[0]);
		c->measured |= reference_field(c, &c->row[i], "measured") != NULL;
	}
	sl_html_section(page, "errors", "Errors beside the baselines");
	sl_html_table(page, psprintf(c->by->caption,
								 psprintf("%s%s",
										  c->same_target ? c->reported[0]->target
														 : "each model\u2019s target",
										  sl_unit_suffix(c->unit))));
	heads_of_errors(c);
	for (int i = 0; i < c->rows; i++)
	{
		const Row *row = &c->row[i];

		if (row->own)
			sl_html_row_head_own(page, row->name);
		else
			sl_html_row_head(page, row->name);
		sl_html_cell_count(page, (long long) row->rows);
		cells_of_measures(c, row, most);
		if (c->reference)
			cells_of_reference(c, row);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	if (!c->same_target || !c->same_rows)
		sl_html_paragraph(page, NULL, c->by->apart);
	sl_html_paragraph(page, "note", c->by->note);
	if (c->reference)
		notes_of_references(c);
	sl_html_section_end(page);
}

/* Curves that have an axis in common: of an error, or of one loss. */
static bool
has_curves(const Comparison *c)
{
	return c->learning.curves >= 2 && c->same_target &&
		   (c->by->columns ? c->same_loss && sl_has_validation(&c->learning)
						   : sl_has_mae(&c->learning));
}

static void
section_learning(Comparison *c)
{
	const char *measure = c->by->columns ? "loss" : "MAE";
	const char *heads[] = {"model", "#epoch", psprintf("#validation %s", measure)};
	SlHtml *page = &c->page;

	if (!has_curves(c))
		return;
	sl_html_section(page, "learning", "How they learned");
	sl_html_figure(page);
	sl_plot_learning(&page->out, "sl-validation", &c->learning,
					 c->by->columns ? SL_PANEL_FIRST : SL_PANEL_SECOND);
	sl_html_figure_end(
		page,
		c->by->columns
			? psprintf("Losses on the validation rows, by epoch: %s.",
					   c->reported[0]->loss)
			: psprintf("Mean absolute error of %s on the validation rows, by epoch.",
					   c->reported[0]->target));
	sl_html_details(page, "Table of the epochs drawn");
	sl_html_table(page, psprintf("Validation %s%s by model and epoch", measure,
								 sl_unit_suffix(c->unit)));
	sl_html_heads(page, lengthof(heads), heads);
	for (int m = 0; m < c->learning.curves; m++)
		for (int i = 0; i < c->learning.curve[m].n; i++)
		{
			sl_html_row_head(page, c->learning.curve[m].name);
			sl_html_cell_count(page, (long long) c->learning.curve[m].epoch[i]);
			sl_html_cell_number(page, c->by->columns ? c->learning.curve[m].validation[i]
													 : c->learning.curve[m].mae[i]);
			sl_html_row_end(page);
		}
	sl_html_table_end(page);
	sl_html_details_end(page);
	sl_html_section_end(page);
}

static void
section_models(Comparison *c)
{
	static const char *const heads[] = {"model",	   "#version",		 "architecture",
										"hidden size", "#training rows", "#epochs",
										"#seconds",	   "source"};
	SlHtml *page = &c->page;

	sl_html_section(page, "models", "The models");
	sl_html_table(page, "What was trained");
	sl_html_heads(page, lengthof(heads), heads);
	for (int i = 0; i < c->models; i++)
	{
		char **texts = sl_page_texts(
			"SELECT options ->> 'architecture',"
			" pg_catalog.translate(options ->> 'hidden_dim', '[]', ''), training_rows::text,"
			" epochs::text, seconds::text FROM sessionlen.model_versions"
			" WHERE model = $1 AND version = $2",
			c->reported[i]);

		sl_html_row_head(page, c->reported[i]->model);
		sl_html_cell_count(page, c->reported[i]->version);
		sl_html_cell(page, texts[0] ? texts[0] : "");
		sl_html_cell(page, texts[1] ? texts[1] : "");
		sl_html_cell_count(page, atoll(texts[2]));
		sl_html_cell_count(page, texts[3] ? atoll(texts[3]) : 0);
		sl_html_cell_fixed(page, texts[4] ? atof(texts[4]) : NAN, 1);
		sl_html_cell(page, c->reported[i]->source);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	sl_html_section_end(page);
}

static void
open_page(Comparison *c)
{
	static const char *const ids[] = {"errors", "models", "learning"};
	static const char *const headings[] = {"Errors", "Models", "Learning"};

	sl_html_open(&c->page, psprintf("%d models compared", c->models),
				 c->same_target ? psprintf("All predict %s.", c->reported[0]->target)
								: "They predict different targets.");
	sl_html_contents(&c->page, has_curves(c) ? 3 : 2, ids, headings);
	c->learning.target = c->reported[0]->target;
	c->learning.unit = c->unit;
	c->learning.loss = "";
}

Datum
sl_report_models(PG_FUNCTION_ARGS)
{
	StringInfoData html;
	Comparison *c = palloc0(sizeof(Comparison));

	c->page.out = sl_markup_to(&html);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("models must not be null")));
	c->reference = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	if (c->reference && !JB_ROOT_IS_OBJECT(c->reference))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reference must be a JSON object of scores by predictor"),
				 errhint("For instance: {\"my_model\": 0.87, \"user mean\": 1}.")));
	initStringInfo(&html); /* in the caller's context, before SPI has its own */
	SPI_connect();
	read_models(c, PG_GETARG_ARRAYTYPE_P(0),
				PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	open_page(c);
	section_errors(c);
	section_models(c);
	section_learning(c);
	sl_page_close(&c->page);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(html.data, html.len));
}
