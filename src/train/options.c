/*
 * options.c: the options of one training: given ones over defaults, and what goes
 * together.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "store/json.h"
#include "train/option_table.h"

static void
read_all(SlOptions *options, Jsonb *given)
{
	sl_options_read_object(options, sl_train_options, given, sl_train_option_read,
						   "{\"epochs\": 50}");
}

bool
sl_option_is_searchable(const char *key)
{
	static const char *const prepared[] = {"min_users",
										   "mixed_threshold",
										   "warm_start",
										   "min_count",
										   "standardize",
										   "target_transform",
										   "upper_percentile",
										   "verbose",
										   "horizon",
										   "past_skips",
										   "item_features",
										   "pretrained",
										   "item_features_trained",
										   "workers"};
	const SlOption *option = sl_option_find(sl_train_options, key);

	if (option->kind == OPT_SEARCH || option->kind == OPT_SPLIT ||
		option->kind == OPT_COLUMNS || option->kind == OPT_BY_CLUSTER)
		return false;
	for (int i = 0; i < (int) lengthof(prepared); i++)
		if (strcmp(key, prepared[i]) == 0)
			return false;
	return true;
}

void
sl_options_read(SlOptions *options, SlModelTask task, Jsonb *given, Jsonb *over)
{
	memset(options, 0, sizeof(*options));
	options->task = task;
	for (const SlOption *option = sl_train_options; option->key != NULL; option++)
	{
		Jsonb *fallback = sl_json_parse(psprintf("{\"v\": %s}", option->fallback));
		JsonbValue *value = sl_json_get(&fallback->root, "v");

		if (value != NULL)
			sl_train_option_read(options, option, value);
	}
	options->columns = NULL;
	options->by_cluster = NULL;
	if (given != NULL)
		read_all(options, given);
	if (over != NULL)
		read_all(options, over);
	sl_options_settle(options, given, over);
}

void
sl_options_for_size(SlOptions *options, Jsonb *given, Jsonb *over, int users)
{
	Jsonb *chosen;

	if (!options->mixed)
		return;
	chosen =
		sl_json_parse(users <= options->mixed_threshold ? "{\"standardize\": true}"
														: "{\"standardize\": false}");
	if (over != NULL)
		chosen = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(over),
													JsonbPGetDatum(chosen)));
	sl_options_read(options, options->task, given, chosen);
}

bool
sl_options_same_target(const SlOptions *a, const SlOptions *b)
{
	return a->target_transform == b->target_transform &&
		   sl_loss_is_scaled(a->loss) == sl_loss_is_scaled(b->loss);
}

char *
sl_options_text(const SlOptions *options)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (const SlOption *option = sl_train_options; option->key != NULL; option++)
		sl_train_option_write(&out, options, option);
	appendStringInfoChar(&out, '}');
	return out.data;
}
