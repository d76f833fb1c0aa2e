/*
 * plot_sql.c: plot_learning_curve() and plot_predictions(): SVG as text.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "argument.h"
#include "report/read.h"

PG_FUNCTION_INFO_V1(sl_plot_learning_curve);
PG_FUNCTION_INFO_V1(sl_plot_predictions);

Datum
sl_plot_learning_curve(PG_FUNCTION_ARGS)
{
	char *model = sl_required_text(fcinfo, 0, "model", NULL);
	int version = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	StringInfoData svg;
	SlMarkup out = sl_markup_to(&svg);
	SlLearning *learning;

	if (!PG_ARGISNULL(1) && version < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("version must be positive")));
	initStringInfo(&svg); /* in the caller's context, before SPI has its own */
	SPI_connect();
	learning = sl_read_learning(sl_read_version(model, version));
	if (learning->curves == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of model \"%s\" has no rows in the training log",
						learning->version, model)));
	sl_plot_learning(&out, "sl-learning", learning, SL_PANEL_BOTH);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}

Datum
sl_plot_predictions(PG_FUNCTION_ARGS)
{
	char *model = sl_required_text(fcinfo, 0, "model", NULL);
	char *source = sl_text_argument(fcinfo, 1);
	char *part = sl_required_text(fcinfo, 2, "part", NULL);
	StringInfoData svg;
	SlMarkup out = sl_markup_to(&svg);
	SlReported *reported;
	SlPredictions *predictions;
	SlPredicted predicted;

	initStringInfo(&svg);
	SPI_connect();
	reported = sl_read_version(model, 0);
	predictions = sl_read_predictions(reported, source, part);
	if (predictions->rows == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("model \"%s\" has nothing to plot", model),
						errdetail("No row of part \"%s\" has a known target.", part),
						errhint("Name another part, or a source that has such rows.")));
	predicted = sl_predicted(reported, predictions, part);
	if (strcmp(reported->task, "regression") == 0)
		sl_plot_predicted(&out, "sl-predictions", &predicted, SL_PANEL_BOTH);
	else
		sl_plot_calibration(&out, "sl-calibration", &predicted);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}
