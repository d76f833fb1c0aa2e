-- Reports: drawings and pages of what the tables and functions before say.

CREATE FUNCTION sessionlen.plot_learning_curve(model text, version int DEFAULT NULL) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_plot_learning_curve';
COMMENT ON FUNCTION sessionlen.plot_learning_curve(text, int)
	IS 'SVG of the losses of every epoch of a version (default: the one that serves)';

CREATE FUNCTION sessionlen.plot_predictions(model text, source text DEFAULT NULL,
	part text DEFAULT 'test') RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_plot_predictions';
COMMENT ON FUNCTION sessionlen.plot_predictions(text, text, text)
	IS 'SVG of actual against predicted values and of residuals by length band';

CREATE FUNCTION sessionlen.report(model text, source text DEFAULT NULL) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_report';
COMMENT ON FUNCTION sessionlen.report(text, text)
	IS 'a self-contained HTML page about a model: errors beside the baselines, predictions, learning, data, network';

CREATE FUNCTION sessionlen.report(models text[], source text DEFAULT NULL, reference jsonb DEFAULT NULL)
RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_report_models';
COMMENT ON FUNCTION sessionlen.report(text[], text, jsonb)
	IS 'a self-contained HTML page that compares models with each other and with the baselines; reference: their scores elsewhere';
