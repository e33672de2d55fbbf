"""The few panel shapes our dashboards use, each with a unit, a description and a switchable datasource."""

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Grafana lays panels out on 24 columns.
FULL_WIDTH = 24


def text(en: str, zh: str) -> str:
    """Both languages in one title, because a dashboard has one reader's language at most and two at a hand-over."""
    return f"{zh} · {en}"


def query(expr: str, legend: str = "", *, instant: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").datasource(DATASOURCE)
    return target.instant().format(PromQueryFormat.TABLE) if instant else target.range()


def steps(*limits: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Thresholds by absolute value: the first has no lower bound."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in limits])
    )


def number(
    title: str, description: str, unit: str, expr: str, thresholds: dashboard.ThresholdsConfig, legend: str = ""
) -> stat.Panel:
    """One number, coloured by what it means."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(4)
        .span(6)
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds)
        .with_target(query(expr, legend))
    )


def lines(title: str, description: str, unit: str, *targets: tuple[str, str], span: int = 12) -> timeseries.Panel:
    """Lines over time; each target is (expression, legend)."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(8)
        .span(span)
        .line_width(2)
        .fill_opacity(8)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for expr, legend in targets:
        panel = panel.with_target(query(expr, legend))
    return panel


def rows(title: str, description: str, unit: str, expr: str, *, span: int = FULL_WIDTH) -> table.Panel:
    """The current value of every series, one row each."""
    return (
        table.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(8)
        .span(span)
        .with_target(query(expr, instant=True))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True, "__name__": True, "instance": True, "job": True}},
            )
        )
    )


def page(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """A dashboard with the datasource variable, refreshed as often as probes run."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["tillwatch"])
        .editable()
        .refresh("15s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
