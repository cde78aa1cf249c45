"""Where the traffic log is: the one decision for Dagster and for the gateway's process."""

import os

from ftassets.home import Home, has_servers, profile
from ftassets.resources.traffic_log.base import TrafficLog

VARIABLE = "FTASSETS_TRAFFIC_URL"


def chosen_log(home: Home) -> TrafficLog:
    """PostgreSQL where a profile with servers has FTASSETS_TRAFFIC_URL, else the home's file. Nothing is opened yet.

    Raises ValueError for a URL that is none, or one that the profile would not use: its rows would be looked for elsewhere.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        from ftassets.resources.traffic_log.embedded import SqliteTrafficLog

        return SqliteTrafficLog(home.traffic_db)
    if not has_servers(profile()):
        raise ValueError(f"{VARIABLE} is set, which FTASSETS_PROFILE=embedded does not use: set the profile, or unset the URL")
    from ftassets.resources.traffic_log.postgres import PostgresTrafficLog

    return PostgresTrafficLog(url)
