"""The routes that guests may call, except those of ``/auth``."""

from litestar import Router

from edge.openapi.operations import BEARER, SESSION
from edge.routes.public.categories import get_category, list_categories
from edge.routes.public.parts import get_part, list_parts
from edge.routes.public.reservations import reservations_router
from edge.routes.public.stock import get_stock

_catalogue = Router(
    path="/", tags=["parts"], route_handlers=[list_parts, get_part, get_stock, list_categories, get_category]
)

# Everything here is open to guests; who signs in may get more.
public_router = Router(path="/", security=[{}, BEARER, SESSION], route_handlers=[_catalogue, reservations_router])
