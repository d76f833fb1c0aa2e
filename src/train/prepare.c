#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "train/prepare.h"
#include "train/sequence.h"

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(count, 1) * width,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static int
by_value(const void *a, const void *b)
{
	float x = *(const float *) a;
	float y = *(const float *) b;

	return (x > y) - (x < y);
}

static void
swap(float *a, float *b)
{
	float kept = *a;

	*a = *b;
	*b = kept;
}

/*
 * Moves the k-th smallest of n values to value[k], smaller ones before it and larger ones
 * behind (Hoare 1961).  Pivots that divide badly end in sorting what is left.
 */
static void
select_value(float *value, int n, int k)
{
	int low = 0;
	int high = n - 1;

	for (int turns = 64; high - low > 32 && turns > 0; turns--)
	{
		float pivot = value[low + (high - low) / 2];
		int i = low;
		int j = high;

		while (i <= j)
		{
			while (value[i] < pivot)
				i++;
			while (value[j] > pivot)
				j--;
			if (i <= j)
				swap(&value[i++], &value[j--]);
		}
		if (k > j && k < i)
			return;
		if (k <= j)
			high = j;
		else
			low = i;
	}
	qsort(value + low, high - low + 1, sizeof(float), by_value);
}

/* Quantile q of n values, interpolated like percentile_cont; their order is lost. */
static double
take_quantile(float *value, int n, double q)
{
	double at = q * (n - 1);
	int low = (int) floor(at);
	float next;

	select_value(value, n, low);
	if (low == n - 1)
		return value[low];
	next = value[low + 1];
	for (int i = low + 2; i < n; i++)
		next = Min(next, value[i]);
	return value[low] + (at - low) * ((double) next - value[low]);
}

/* ---- weights and target ---- */

/* Rows that train: known target, training part, not above the percentile. */
static void
set_weights(SlPrepared *p, const SlRows *rows, double upper_percentile)
{
	float *train = huge(rows->rows, sizeof(float));
	float *validation = huge(rows->rows, sizeof(float));
	float *known = huge(rows->rows, sizeof(float));
	float limit = INFINITY;
	int n = 0;

	for (int i = 0; i < rows->rows; i++)
	{
		if (!sl_row_counts(rows, i))
			continue;
		p->part_rows[rows->part[i]]++;
		if (rows->part[i] == SL_TRAIN)
			known[n++] = rows->y[i];
		else if (rows->part[i] == SL_VALIDATION)
			validation[i] = 1;
	}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("no row is left to train on"),
				 errdetail("%d rows were read; none with a known target is in the "
						   "training part.",
						   rows->rows)));
	if (upper_percentile < 100)
		limit = (float) take_quantile(known, n, upper_percentile / 100);
	for (int i = 0; i < rows->rows; i++)
		train[i] =
			rows->part[i] == SL_TRAIN && sl_row_counts(rows, i) && rows->y[i] <= limit;
	pfree(known);
	p->set.train_weight = train;
	p->set.validation_weight = validation;
}

/* Logarithms and lengths are of values from 0 up. */
static void
check_target(const SlRows *rows, const SlOptions *options)
{
	if (options->target_transform != SL_TARGET_LOG1P && !sl_loss_is_scaled(options->loss))
		return;
	for (int i = 0; i < rows->rows; i++)
		if (rows->y[i] < 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target holds values below 0"),
				 errdetail("One is %g.", rows->y[i]),
				 errhint("target_transform log1p and the losses mape and weibull take "
						 "only values from 0 up.")));
}

/* Mean and deviation of f(y) over training rows. */
static void
fit_target(SlPrepared *p, const SlRows *rows, const SlOptions *options)
{
	SlTarget *target = &p->set.target;
	bool scaled = sl_loss_is_scaled(options->loss);
	double mean = 0;
	double m2 = 0;
	int64 n = 0;

	*target = (SlTarget){options->target_transform == SL_TARGET_LOG1P, scaled, 0, 1};
	for (int i = 0; i < rows->rows; i++)
	{
		double y = rows->y[i];
		double step;

		if (!(p->set.train_weight[i] > 0))
			continue;
		y = sl_target_forward(&(SlTarget){target->log1p, scaled, 0, 1}, y);
		step = y - mean;
		mean += step / ++n;
		m2 += step * (y - mean);
	}
	if (options->target_transform != SL_TARGET_NONE)
	{
		target->mean = mean;
		target->scale = m2 / n > 1e-24 * mean * mean && m2 > 0 ? sqrt(m2 / n) : 1;
	}
	else if (scaled)
		target->scale = mean; /* both losses only see y in units of its mean */
}

/* Kept finite where all are alike. */
static double
logit_of_mean(const float *label, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += label[i];
	sum = Min(Max(sum, 0.5), n - 0.5);
	return log(sum / (n - sum));
}

static void
scale_target(SlPrepared *p, const SlRows *rows, const SlOptions *options)
{
	float *scaled = huge(rows->rows, sizeof(float));
	float *known = huge(rows->rows, sizeof(float));
	int n = 0;

	for (int i = 0; i < rows->rows; i++)
	{
		scaled[i] =
			isnan(rows->y[i]) ? 0 : (float) sl_target_forward(&p->set.target, rows->y[i]);
		if (p->set.train_weight[i] > 0)
			known[n++] = scaled[i];
	}
	if (options->loss == SL_LOSS_BCE)
		p->start_value = logit_of_mean(known, n);
	else if (options->task == SL_TASK_REGRESSION)
		p->start_value = take_quantile(known, n, 0.5);
	pfree(known);
	p->set.y = scaled;
}

/* Rows that are predicted, and the class of each where that is an item. */
static void
set_future(SlPrepared *p, const SlRows *rows, const SlTrainSource *source,
		   const SlOptions *options)
{
	if (rows->use != NULL)
	{
		uint8 *future = huge(rows->rows, sizeof(uint8));

		for (int i = 0; i < rows->rows; i++)
			future[i] = rows->use[i] == SL_ROW_FUTURE;
		p->set.future = future;
	}
	if (options->task == SL_TASK_NEXT_ITEMS)
	{
		int32 *item = huge(rows->rows, sizeof(int32));

		for (int i = 0; i < rows->rows; i++)
			item[i] = isnan(rows->y[i]) ? -1 : (int32) rows->y[i];
		p->set.item = item;
		p->set.item_count = source->items->rows;
	}
}

/* Mean and median of the raw target over training rows: over all, and by key where a key
 * has both training and other rows, which with a horizon it never has. */
static void
fit_baselines(SlTrainSource *p, const SlRows *rows, const SlOptions *options)
{
	float *value = huge(rows->rows, sizeof(float));
	float *all = huge(rows->rows, sizeof(float));
	double all_sum = 0;
	int all_count = 0;

	p->keys = huge(rows->sequences, sizeof(char *));
	p->key_rows = huge(rows->sequences, sizeof(int64));
	p->key_mean = huge(rows->sequences, sizeof(double));
	p->key_median = huge(rows->sequences, sizeof(double));
	for (int s = 0; s < rows->sequences; s++)
	{
		int k = p->keys_with_rows;
		double sum = 0;
		int n = 0;

		for (int i = rows->start[s]; i < rows->start[s + 1]; i++)
			if (rows->part[i] == SL_TRAIN && sl_row_counts(rows, i) && !rows->censored[i])
			{
				value[n++] = all[all_count++] = rows->y[i];
				sum += rows->y[i];
			}
		all_sum += sum;
		if (n == 0 || options->horizon != 0)
			continue;
		p->keys[k] = unconstify(char *, sl_vocabulary_text(rows->keys, s + 1));
		p->key_rows[k] = n;
		p->key_mean[k] = sum / n;
		p->key_median[k] = take_quantile(value, n, 0.5);
		p->keys_with_rows++;
	}
	if (all_count > 0)
	{
		p->all_rows = all_count;
		p->all_mean = all_sum / all_count;
		p->all_median = take_quantile(all, all_count, 0.5);
	}
	pfree(value);
	pfree(all);
}

/* ---- inputs ---- */

/* Rows whose values fit the preparation. */
static bool *
training_rows(const SlRows *rows)
{
	bool *use = huge(rows->rows, sizeof(bool));

	for (int i = 0; i < rows->rows; i++)
		use[i] = sl_row_fits(rows, i);
	return use;
}

static void
fit_texts(SlInputs *inputs, SlRows *rows, int min_count)
{
	bool *use = training_rows(rows);

	for (int c = 0; c < inputs->count; c++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!sl_input_has_vocabulary(&inputs->input[c]) ||
			inputs->input[c].role == SL_ROLE_ITEM) /* fitted before it entered */
			continue;
		sl_input_fit_text(&inputs->input[c], rows->column[c], use, rows->rows, min_count);
		sl_items_check_size(inputs->input[c].vocabulary, inputs->input[c].name);
	}
	pfree(use);
}

/* A network's own inputs: the source's vocabularies, numbers fitted on these rows. */
static SlInputs *
fit_inputs(const SlTrainCall *call, const SlTrainSource *source, const SlRows *rows,
		   const SlOptions *options)
{
	SlInputs *inputs =
		sl_inputs_choose(call->count, call->names, call->roles, source->readers, options);
	bool *use = training_rows(rows);

	for (int c = 0; c < inputs->count; c++)
	{
		SlInput *input = &inputs->input[c];

		CHECK_FOR_INTERRUPTS();
		if (sl_input_has_vocabulary(input))
		{
			*input = source->inputs->input[c];
			continue;
		}
		if (input->role == SL_ROLE_TARGET)
			continue;
		sl_input_fit_number(input, rows->column[c], use, rows->rows);
		if (input->prep == SL_PREP_STANDARDIZE || input->prep == SL_PREP_MIN_MAX)
			input->mean += isnan(rows->base[c]) ? 0 : rows->base[c];
	}
	pfree(use);
	sl_inputs_lay_out(inputs);
	return inputs;
}

/* Columns become features. */
static void
make_features(SlPrepared *p, SlRows *rows)
{
	SlInputs *inputs = p->inputs;
	SlCellValue *cell = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	int32 row_code[SL_MAX_EMBEDDINGS];
	float *x = huge((Size) rows->rows * inputs->width, sizeof(float));
	int32 **code = palloc0(sizeof(int32 *) * SL_MAX_EMBEDDINGS);

	for (int e = 0; e < inputs->embeddings; e++)
		code[e] = huge(rows->rows, sizeof(int32));
	for (int i = 0; i < rows->rows; i++)
	{
		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		for (int c = 0; c < inputs->count; c++)
			if (sl_input_has_vocabulary(&inputs->input[c]))
				cell[c].code = ((int32 *) rows->column[c])[i];
			else
				cell[c].number = ((float *) rows->column[c])[i] +
								 (isnan(rows->base[c]) ? 0 : rows->base[c]);
		sl_inputs_apply(inputs, cell, x + (Size) i * inputs->width, row_code);
		for (int e = 0; e < inputs->embeddings; e++)
			code[e][i] = row_code[e];
	}
	p->set.x = x;
	p->set.code = (const int32_t *const *) code;
	p->set.inputs = inputs->width;
}

/* The kept inputs must be the base version's, in its order. */
static SlInputs *
base_inputs(const SlModel *base, const SlTrainCall *call, const SlOptions *options)
{
	bool same = base->inputs->count == call->count;

	for (int i = 0; same && i < call->count; i++)
		same = strcmp(base->inputs->input[i].name, call->names[i]) == 0 &&
			   base->inputs->input[i].role == call->roles[i];
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("warm_start needs the input columns of version %d",
							   base->version),
						errhint("Name the same columns in the same roles and order.")));
	if (base->options.task != options->task ||
		base->options.past_skips != options->past_skips ||
		list_length(base->options.item_features) != list_length(options->item_features) ||
		!sl_options_same_sequences(&base->options, options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("warm_start needs the task, horizon and sequences of version %d",
						base->version),
				 errhint("Give the same task, horizon, sequence_length, past_skips "
						 "and item_features.")));
	if (!sl_options_same_target(&base->options, options))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("warm_start needs the target_transform of version %d", base->version),
			 errdetail("It is %s, with the loss %s.",
					   sl_target_transform_name(base->options.target_transform),
					   sl_loss_name(base->options.loss)),
			 errhint("Give the same one; mape and weibull can't follow other losses.")));
	return base->inputs;
}

/* Columns to read: the inputs, then item features, which a warm start has already. */
static SlRequest
source_request(const SlTrainCall *call, const SlOptions *options, const SlSplit *split,
			   int features)
{
	SlRequest request = {.source = call->source,
						 .partition_by = call->partition_by,
						 .order_by = call->order_by,
						 .target = call->target,
						 .censored = call->censored,
						 .split = split,
						 .labels = options->task == SL_TASK_BINARY ||
								   options->task == SL_TASK_SKIP,
						 .unique = sl_sequence_is_ordered(options),
						 .count = call->count + features,
						 .names = palloc(sizeof(char *) * (call->count + features + 1))};

	memcpy(request.names, call->names, sizeof(char *) * call->count);
	for (int f = 0; f < features; f++)
		request.names[call->count + f] = list_nth(options->item_features, f);
	return request;
}

/* From own values to what enters the network, with vocabularies fitted on the way. */
static void
enter(SlTrainSource *source, const SlOptions *options, bool fit)
{
	SlRows *rows = source->rows;

	sl_rows_cut(rows, source->inputs, options);
	if (sl_inputs_items(source->inputs) != NULL)
		source->items = sl_items_fit(rows, source->inputs, options, fit);
	sl_rows_enter(rows, source->inputs, options);
	if (fit)
		fit_texts(source->inputs, rows, options->min_count);
}

SlTrainSource *
sl_source_read(const SlTrainCall *call, const SlOptions *options, const SlModel *base,
			   Size limit)
{
	SlTrainSource *source = palloc0(sizeof(SlTrainSource));
	int features = base ? 0 : list_length(options->item_features);
	SlRequest request;
	SlSplit *split = &source->split;
	SlCursor *cursor;

	*split = options->split;
	if (split->by == SL_SPLIT_TIME && split->test_from == NULL &&
		split->validation_from == NULL)
		sl_split_find_cuts(split, call->source, call->order_by);
	request = source_request(call, options, split, features);
	cursor = sl_cursor_open(&request, false);
	source->readers = cursor->reader + SL_COLUMNS;
	source->inputs = base ? base_inputs(base, call, options)
						  : sl_inputs_choose(call->count, call->names, call->roles,
											 source->readers, options);
	source->rows = sl_rows_read(cursor, source->inputs, features,
								request.names + call->count, split, base == NULL, limit);
	sl_cursor_close(cursor);
	check_target(source->rows, options);
	enter(source, options, base == NULL);
	if (options->task != SL_TASK_NEXT_ITEMS)
		fit_baselines(source, source->rows, options);
	return source;
}

SlPrepared *
sl_prepare(const SlTrainCall *call, const SlTrainSource *source, SlRows *rows,
		   const SlOptions *options, const SlModel *base, Size limit)
{
	SlPrepared *p = palloc0(sizeof(SlPrepared));
	Size made_from = sizeof(float) * (Size) rows->rows * call->count;

	set_weights(p, rows, options->upper_percentile);
	if (base == NULL)
	{
		p->inputs = fit_inputs(call, source, rows, options);
		fit_target(p, rows, options);
	}
	else
	{
		p->inputs = base->inputs;
		p->set.target = base->scale;
	}
	p->bytes = (Size) rows->rows *
			   (sizeof(float) * (p->inputs->width + p->inputs->embeddings + 6) +
				3 * sizeof(uint8));
	if (p->bytes + made_from > limit)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("the features of %d rows need %zu MB, more than "
						"sessionlen.memory_limit",
						rows->rows, (p->bytes + made_from) >> 20),
				 errhint("Raise sessionlen.memory_limit, or use fewer or smaller columns "
						 "(one_hot is wide).")));
	make_features(p, rows);
	scale_target(p, rows, options);
	set_future(p, rows, source, options);
	if (call->clusters)
		p->bytes += sizeof(float) * (Size) source->rows->rows * call->count;
	p->set.rows = rows->rows;
	p->set.sequences = rows->sequences;
	p->set.start = rows->start;
	p->set.time_order = rows->time_order;
	p->set.censored = call->censored ? rows->censored : NULL;
	return p;
}
