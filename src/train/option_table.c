/*
 * option_table.c: one table of the options of train(), and options(), which lists it.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "train/option_table.h"
#include "train/team.h"

PG_FUNCTION_INFO_V1(sl_options_list);

static const char *
init_name(int i)
{
	static const char *const names[] = {"keras", "torch", NULL};

	return names[i];
}

const char *
sl_target_transform_name(int i)
{
	static const char *const names[] = {"none", "log1p", "standardize", NULL};

	return names[i];
}

static const char *
past_skips_name(int i)
{
	static const char *const names[] = {"column", "token", "both", "none", NULL};

	return names[i];
}

static const char *
cell_name(int i)
{
	static const char *const names[] = {
		[SL_CELL_GRU] = "gru", [SL_CELL_LSTM] = "lstm", NULL};

	return names[i];
}

#define AT(field) offsetof(SlOptions, field)

const SlOption sl_train_options[] = {
	{"architecture", OPT_NAME, AT(architecture), 0, 0, sl_arch_name, "\"gru\"",
	 "the network"},
	{"hidden_dim", OPT_HIDDEN, AT(hidden), 1, 4096, NULL, "64",
	 "hidden units; an array gives one layer each"},
	{"cell", OPT_NAME, AT(cell), 0, 0, cell_name, "\"gru\"",
	 "recurrent cell of encoder_decoder"},
	{"bidirectional", OPT_BOOL, AT(bidirectional), 0, 0, NULL, "false",
	 "the encoder of encoder_decoder also reads the past backwards"},
	{"dropout", OPT_REAL, AT(dropout), 0, 0.99, NULL, "0",
	 "probability of dropping a layer's output in training"},
	{"recurrent_dropout", OPT_REAL, AT(recurrent_dropout), 0, 0.99, NULL, "0",
	 "probability of dropping a hidden unit's way into the next step, for a whole sequence"},
	{"batch_size", OPT_INT, AT(batch_size), 1, 1 << 20, NULL, "32",
	 "sequences in a step"},
	{"sequence_length", OPT_INT, AT(sequence_length), 1, SL_MAX_STEPS, NULL, "32",
	 "rows of a sequence in a step; the state is carried on; 1: every row alone; with a horizon: the last so many rows are the sequence"},
	{"horizon", OPT_HORIZON, AT(horizon), 0, SL_MAX_STEPS - 1, NULL, "null",
	 "last rows of a sequence that are predicted from those before, or \"half\"; 0: every row is; default half for task skip and encoder_decoder, 1 for multi_input_lstm, else 0"},
	{"epochs", OPT_INT, AT(epochs), 1, 1000000, NULL, "20",
	 "passes over the training rows"},
	{"time_limit", OPT_REAL, AT(time_limit), 0, 1e9, NULL, "0",
	 "seconds after which training ends normally; 0: none"},
	{"patience", OPT_INT, AT(patience), 0, 1000000, NULL, "0",
	 "epochs without a better validation loss before training ends, best epoch kept; 0: never"},
	{"shuffle", OPT_BOOL, AT(shuffle), 0, 0, NULL, "true", "a new order in every epoch"},
	{"loss", OPT_NAME, AT(loss), 0, 0, sl_loss_name, "\"mae\"",
	 "what is minimised, on the transformed target; default bce for tasks binary and skip, for next_items cross_entropy up to 10000 items and sampled_softmax beyond"},
	{"negatives", OPT_INT, AT(negatives), 1, 1 << 20, NULL, "1024",
	 "items drawn for a step by the losses sampled_softmax, bpr_max and top1_max"},
	{"teacher_forcing", OPT_REAL, AT(teacher_forcing), 0, 1, NULL, "1",
	 "share of steps in which a decoder of items is given the true item before, not its own"},
	{"quantiles", OPT_LEVELS, AT(quantile), 0, 1, NULL, "[0.1, 0.5, 0.9]",
	 "levels that the losses quantile and weibull predict"},
	{"optimizer", OPT_NAME, AT(optimizer), 0, 0, sl_optim_name, "\"adam\"",
	 "the optimiser; of an embedding only the rows looked up in a step move"},
	{"learning_rate", OPT_REAL, AT(learning_rate), 1e-12, 1e3, NULL, "null",
	 "step size; default by optimiser, 0.001 for adam"},
	{"schedule", OPT_NAME, AT(schedule), 0, 0, sl_schedule_name, "\"cosine\"",
	 "how the learning rate changes over the run"},
	{"warmup", OPT_INT, AT(warmup), 0, 1 << 30, NULL, "0",
	 "steps in which the learning rate rises to its value"},
	{"clip_norm", OPT_REAL, AT(clip_norm), 0, 1e9, NULL, "1",
	 "largest norm of the gradient; 0: not clipped"},
	{"weight_decay", OPT_REAL, AT(weight_decay), 0, 1e3, NULL, "0",
	 "L2 penalty; decoupled with adamw; of an embedding on the rows looked up in a step"},
	{"standardize", OPT_STANDARDIZE, AT(standardize), 0, 0, NULL, "true",
	 "z-scores for numeric columns and the target, where columns or target_transform don't say otherwise; \"mixed\": in clusters of at most mixed_threshold users"},
	{"mixed_threshold", OPT_INT, AT(mixed_threshold), 0, 1 << 30, NULL, "200",
	 "training users up to which a cluster is standardised when standardize is mixed"},
	{"min_users", OPT_INT, AT(min_users), 1, 1 << 30, NULL, "31",
	 "training users a cluster needs to get a network of its own"},
	{"by_cluster", OPT_BY_CLUSTER, AT(by_cluster), 0, 0, NULL, "{}",
	 "options of single clusters' networks, such as {\"0\": {\"epochs\": 100}}"},
	{"target_transform", OPT_NAME, AT(target_transform), 0, 0, sl_target_transform_name,
	 "null",
	 "of the target before training, undone in predictions; default by standardize"},
	{"upper_percentile", OPT_REAL, AT(upper_percentile), 1, 100, NULL, "100",
	 "targets above it are left out of training, and only there"},
	{"min_count", OPT_INT, AT(min_count), 1, 1 << 30, NULL, "1",
	 "training rows a text value or an item needs to get a code of its own"},
	{"past_skips", OPT_NAME, AT(past_skips), 0, 0, past_skips_name, "\"column\"",
	 "how past skips enter in task skip: as a column, as a token in the item's place, both or none"},
	{"item_features", OPT_LIST, AT(item_features), 0, 0, NULL, "[]",
	 "numeric columns that belong to the item: looked up by item"},
	{"item_features_trained", OPT_BOOL, AT(item_features_trained), 0, 0, NULL, "false",
	 "training changes the item features too"},
	{"pretrained", OPT_TEXT, AT(pretrained), 0, 0, NULL, "null",
	 "stored embedding that the items' embedding starts from"},
	{"columns", OPT_COLUMNS, AT(columns), 0, 0, NULL, "{}",
	 "preprocessing by column: standardize, min_max, log1p, none, one_hot, code or {\"embedding\": n}"},
	{"split", OPT_SPLIT, AT(split), 0, 0, NULL,
	 "{\"by\": \"user_tail\", \"validation\": 0.1, \"test\": 0.1, \"tail\": 0.5, \"seed\": 0}",
	 "which rows are held out: by user_tail, user, time or column; with a horizon whole sequences, default by user"},
	{"seed", OPT_INT64, AT(seed), -9007199254740992.0, 9007199254740992.0, NULL, "0",
	 "of initial weights, order and dropout"},
	{"init", OPT_NAME, AT(init), 0, 0, init_name, "\"keras\"", "initial weights"},
	{"workers", OPT_INT, AT(workers), 1, SL_MAX_TEAM, NULL, "null",
	 "processes that train together, with the same result; default by the work and the processors, up to sessionlen.max_workers"},
	{"warm_start", OPT_BOOL, AT(warm_start), 0, 0, NULL, "false",
	 "start from the version that serves: its weights, codes, scales and optimiser state"},
	{"verbose", OPT_BOOL, AT(verbose), 0, 0, NULL, "true", "report progress by NOTICE"},
	{"search", OPT_SEARCH, 0, 0, 0, NULL, "{}",
	 "arrays of values by option: a version for each combination, the best kept"},
	{.key = NULL},
};

/* options(): the table as rows, for people and for the documentation. */
Datum
sl_options_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (const SlOption *option = sl_train_options; option->key != NULL; option++)
	{
		static const char *const kinds[] = {
			"integer",			"integer", "number",
			"boolean",			"name",	   "boolean or mixed",
			"integer or array", "array",   "object",
			"object",			"object",  "object",
			"integer or half",	"array",   "text"};
		Datum values[5];
		bool nulls[5] = {false};
		char *valid = NULL;

		if (option->kind == OPT_NAME)
			valid = sl_option_names(option);
		else if (option->max > option->min)
			valid = psprintf("%.16g to %.16g", option->min, option->max);
		values[0] = CStringGetTextDatum(option->key);
		values[1] = CStringGetTextDatum(kinds[option->kind]);
		values[2] = CStringGetTextDatum(option->fallback);
		values[3] = valid ? CStringGetTextDatum(valid) : (Datum) 0;
		nulls[3] = valid == NULL;
		values[4] = CStringGetTextDatum(option->meaning);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}
