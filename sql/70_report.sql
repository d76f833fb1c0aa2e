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
	IS 'SVG of actual against predicted values and of residuals by length band; of probabilities, how often they came true';

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

CREATE FUNCTION sessionlen.plot_elbow(source text, columns text[], k_from int DEFAULT 1,
	k_to int DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_plot_elbow_svg';
COMMENT ON FUNCTION sessionlen.plot_elbow(text, text[], int, int, jsonb)
	IS 'SVG of the inertia of k-means by the number of clusters, the knee marked';

CREATE FUNCTION sessionlen.plot_clusters(name text, x text, y text, source text DEFAULT NULL) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_plot_clusters_svg';
COMMENT ON FUNCTION sessionlen.plot_clusters(text, text, text, text)
	IS 'SVG of two columns of a clustering''s source, points coloured by cluster, means marked';

CREATE FUNCTION sessionlen.plot_silhouette(name text) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_plot_silhouette_svg';
COMMENT ON FUNCTION sessionlen.plot_silhouette(text)
	IS 'SVG of all silhouettes of a clustering, a band for each cluster, their mean marked';
