"""The feed's practical limit: nginx with nchan, which is all C.

Debian has it as `libnginx-mod-nchan`. If it is not installed, its row is left out.
"""

from __future__ import annotations

import shutil
from pathlib import Path

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_CONFIG = """
load_module {module};
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /publish {{ nchan_publisher; nchan_channel_id feed; }}
    location = /feed {{
      nchan_subscriber websocket eventsource;
      nchan_channel_id feed;
      nchan_subscriber_first_message newest;
    }}
    location = /health/ready {{ return 200; }}
  }}
}}
"""


def is_installed() -> bool:
    return shutil.which("nginx") is not None and _MODULE.exists()


def configure(port: int, folder: Path) -> list[str]:
    """Write its configuration into `folder`; returns the command that serves it."""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(module=_MODULE, folder=folder, port=port))
    return ["nginx", "-p", str(folder), "-c", str(config)]
