"""Every route that needs no sign-in, but for ``/auth``."""

from litestar import Router

from edge.public.categories import list_categories, show_category
from edge.public.parts import list_parts, show_part
from edge.public.reservations import reservations_router
from edge.public.stock import show_stock

_catalogue = Router(
    path="/", tags=["parts"], route_handlers=[list_parts, show_part, show_stock, list_categories, show_category]
)

public_router = Router(path="/", route_handlers=[_catalogue, reservations_router])
