/*
 * call_sql.c: the arguments of train().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "argument.h"
#include "train/call.h"

enum
{
	ARG_MODEL,
	ARG_SOURCE,
	ARG_TARGET,
	ARG_PARTITION_BY,
	ARG_ORDER_BY,
	ARG_KNOWN,
	ARG_STATIC,
	ARG_OBSERVED,
	ARG_ITEM,
	ARG_CENSORED,
	ARG_TASK,
	ARG_CLUSTERS
};

/* A name the parser would not cut off. */
static void
check_name(const char *value, const char *name)
{
	if (value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must not be empty", name)));
	if (strlen(value) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("%s is too long", name),
						errdetail("Names have at most %d bytes.", NAMEDATALEN - 1)));
}

static char *
name_argument(FunctionCallInfo fcinfo, int number, const char *name, const char *hint)
{
	char *value = sl_required_text(fcinfo, number, name, hint);

	check_name(value, name);
	return value;
}

static char *
optional_name(FunctionCallInfo fcinfo, int number, const char *name)
{
	return PG_ARGISNULL(number) ? NULL : name_argument(fcinfo, number, name, NULL);
}

/* Appends an input column. */
static void
add_input(SlTrainCall *call, char *column, SlRole role)
{
	Size size = call->count + 1;

	for (int j = 0; j < call->count; j++)
		if (strcmp(call->names[j], column) == 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("column \"%s\" is named twice as an input", column)));
	call->names = call->names ? repalloc(call->names, sizeof(char *) * size)
							  : palloc(sizeof(char *));
	call->roles = call->roles ? repalloc(call->roles, sizeof(SlRole) * size)
							  : palloc(sizeof(SlRole));
	call->names[call->count] = column;
	call->roles[call->count++] = role;
}

/* Appends the columns of one role's array argument. */
static void
role_argument(FunctionCallInfo fcinfo, int number, const char *name, SlRole role,
			  SlTrainCall *call)
{
	ArrayType *array;
	Datum *element;
	bool *isnull;
	int count;

	if (PG_ARGISNULL(number))
		return;
	array = PG_GETARG_ARRAYTYPE_P(number);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &element, &isnull, &count);
	for (int i = 0; i < count; i++)
	{
		char *column;

		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s must not hold NULL", name)));
		column = TextDatumGetCString(element[i]);
		check_name(column, psprintf("a name in %s", name));
		add_input(call, column, role);
	}
}

static void
read_task(FunctionCallInfo fcinfo, int number, SlTrainCall *call)
{
	char *name = sl_text_argument(fcinfo, number);

	for (int t = 0; name != NULL; t++)
	{
		if (sl_task_name(t) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized task \"%s\"", name),
					 errhint("Valid tasks are: regression, binary, skip, next_items.")));
		call->task = (SlModelTask) t;
		if (strcmp(sl_task_name(t), name) == 0)
			return;
	}
}

/* What is to be predicted, by task. */
static void
read_target(FunctionCallInfo fcinfo, SlTrainCall *call)
{
	call->item = optional_name(fcinfo, ARG_ITEM, "item");
	if (call->task != SL_TASK_NEXT_ITEMS)
	{
		call->target = name_argument(fcinfo, ARG_TARGET, "target",
									 "Name the column that is to be predicted.");
		return;
	}
	if (!PG_ARGISNULL(ARG_TARGET))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("task next_items takes no target"),
						errhint("It predicts the column named in item.")));
	if (call->item == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("task next_items needs an item column"),
				 errhint("Name the column of the items that are to be predicted in "
						 "item.")));
}

static _Noreturn void
leaks(const char *column, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" is not known before its row happens", column),
			 errdetail("The network would read the answer."), errhint("%s", hint)));
	pg_unreachable();
}

static bool
is_answer(const SlTrainCall *call, const char *column)
{
	return (call->target && strcmp(column, call->target) == 0) ||
		   (call->censored && strcmp(column, call->censored) == 0);
}

/* The future must not leak: the target is known only after the row. */
static void
check_roles(const SlTrainCall *call)
{
	if (call->count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no input column"),
						errhint("Name columns in known, static or observed.")));
	for (int i = 0; i < call->count; i++)
	{
		const char *column = call->names[i];

		if (is_answer(call, column) && call->roles[i] == SL_ROLE_ITEM)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" can't be both item and target", column),
							errhint("Task next_items predicts items.")));
		if (is_answer(call, column) && call->roles[i] != SL_ROLE_OBSERVED)
			leaks(column, call->task == SL_TASK_SKIP
							  ? "Leave it out: past targets enter by option past_skips."
							  : "Name it in observed: it then enters one row later.");
	}
}

void
sl_call_read(FunctionCallInfo fcinfo, SlTrainCall *call)
{
	memset(call, 0, sizeof(*call));
	call->model = name_argument(fcinfo, ARG_MODEL, "model", NULL);
	call->source = sl_required_text(fcinfo, ARG_SOURCE, "source", NULL);
	read_task(fcinfo, ARG_TASK, call);
	read_target(fcinfo, call);
	call->partition_by =
		name_argument(fcinfo, ARG_PARTITION_BY, "partition_by",
					  "Name the column whose equal values make a sequence.");
	call->order_by = name_argument(fcinfo, ARG_ORDER_BY, "order_by",
								   "Name the column that orders a sequence.");
	role_argument(fcinfo, ARG_KNOWN, "known", SL_ROLE_KNOWN, call);
	role_argument(fcinfo, ARG_STATIC, "static", SL_ROLE_STATIC, call);
	role_argument(fcinfo, ARG_OBSERVED, "observed", SL_ROLE_OBSERVED, call);
	call->censored = optional_name(fcinfo, ARG_CENSORED, "censored");
	call->clusters = sl_text_argument(fcinfo, ARG_CLUSTERS);
	if (call->censored && call->task != SL_TASK_REGRESSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task %s takes no censored column", sl_task_name(call->task)),
				 errhint("Only a quantity can be known to be at least something.")));
	if (call->item)
		add_input(call, call->item, SL_ROLE_ITEM);
	check_roles(call);
	if (call->task == SL_TASK_SKIP)
	{
		for (int i = 0; i < call->count; i++)
			if (is_answer(call, call->names[i]))
				leaks(call->names[i],
					  "Leave it out: past targets enter by option past_skips.");
		add_input(call, call->target, SL_ROLE_TARGET);
	}
}

/* Features belong to items; what a row brings about is none. */
static void
check_item_features(const SlTrainCall *call, const SlOptions *options)
{
	ListCell *cell;

	foreach (cell, options->item_features)
	{
		const char *column = lfirst(cell);

		if (is_answer(call, column))
			leaks(column, "Item features are what is known of an item beforehand.");
		for (int i = 0; i < call->count; i++)
			if (strcmp(call->names[i], column) == 0 && call->roles[i] != SL_ROLE_KNOWN &&
				call->roles[i] != SL_ROLE_STATIC)
				leaks(column, "Item features are what is known of an item beforehand.");
	}
}

void
sl_call_check(const SlTrainCall *call, const SlOptions *options)
{
	const char *option = NULL;

	if (options->item_features != NIL)
		option = "item_features";
	else if (options->pretrained != NULL)
		option = "pretrained";
	else if (options->past_skips == SL_PAST_SKIPS_TOKEN ||
			 options->past_skips == SL_PAST_SKIPS_BOTH)
		option = "past_skips";
	if (option != NULL && call->item == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" needs an item column", option),
						errhint("Name it in item.")));
	check_item_features(call, options);
	if (options->mixed && call->clusters == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("standardize \"mixed\" needs clusters"),
				 errhint("Name a clustering made by sessionlen.cluster() in clusters.")));
}
