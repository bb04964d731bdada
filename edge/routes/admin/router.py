"""The routes below ``/admin``."""

from litestar import Router

from edge.openapi.operations import BEARER, SESSION
from edge.routes.admin.alerts import list_alerts
from edge.routes.admin.audit import list_audit_entries
from edge.routes.admin.categories import create_category
from edge.routes.admin.events import list_events
from edge.routes.admin.followers import list_followers, remove_follower
from edge.routes.admin.ledger import list_movements, reverse_movement
from edge.routes.admin.locations import archive_location, create_location, list_locations
from edge.routes.admin.parts import create_part, get_staff_part, list_staff_parts, replace_part
from edge.routes.admin.security_events import list_security_events
from edge.routes.admin.stock import (
    adjust_stock,
    archive_stock,
    get_staff_stock,
    restore_stock,
    set_reorder_point,
    set_stock,
)
from edge.routes.admin.stock_batches import adjust_stock_batch, list_levels, transfer_stock
from edge.routes.admin.users import change_user, create_user, end_session, list_sessions, list_users

admin_router = Router(
    path="/admin",
    tags=["admin"],
    security=[BEARER, SESSION],
    route_handlers=[
        create_part,
        replace_part,
        get_staff_part,
        list_staff_parts,
        create_category,
        set_stock,
        adjust_stock,
        set_reorder_point,
        archive_stock,
        restore_stock,
        get_staff_stock,
        list_levels,
        adjust_stock_batch,
        transfer_stock,
        list_movements,
        reverse_movement,
        list_locations,
        create_location,
        archive_location,
        list_audit_entries,
        list_events,
        list_alerts,
        list_followers,
        remove_follower,
        list_security_events,
        list_users,
        create_user,
        change_user,
        list_sessions,
        end_session,
    ],
)
